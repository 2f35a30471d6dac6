"""The studio as a Hugging Face Space, which expects it at port 7860 for everyone."""

from impasto.apps.cli.main import main

if __name__ == "__main__":
    main(
        [
            "serve",
            "--host",
            "0.0.0.0",
            "--port",
            "7860",
            "--max-size",
            "1536",
            "--time-limit",
            "300",
        ]
    )
