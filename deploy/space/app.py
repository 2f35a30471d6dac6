"""The studio as a Hugging Face Space, which expects it at port 7860 for everyone."""

import os

from impasto.apps.cli.main import main

if __name__ == "__main__":
    main(
        [
            "serve",
            "--host",
            "0.0.0.0",
            "--port",
            "7860",
            "--allowed-host",
            os.environ.get("SPACE_HOST", "localhost"),
            "--embed-in",
            "https://huggingface.co",
            "--proxy",
            "*",
            "--max-size",
            "1536",
            "--time-limit",
            "300",
        ]
    )
