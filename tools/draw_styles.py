"""Draw the sample styles anew: `python tools/draw_styles.py` writes every picture under
src/impasto/assets/styles/.
"""

from pathlib import Path

from PIL import Image

from plates import draw, names

STYLES = Path(__file__).parents[1] / "src" / "impasto" / "assets" / "styles"
SIDE, QUALITY = 1024, 84

if __name__ == "__main__":
    STYLES.mkdir(exist_ok=True)
    for name in names():
        picture = Image.fromarray((draw(name, SIDE) * 255).round().astype("uint8"))
        picture.save(STYLES / f"{name}.webp", quality=QUALITY, method=6)
        print(STYLES / f"{name}.webp")
