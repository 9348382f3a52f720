"""Draws pages of text in class folders by how they are turned: python3 pages.py FOLDER [COUNT]. Needs Pillow, whose own font it uses.

Each page is one image in each of the folders 0, 90, 180 and 270; the number is by how many degrees it was turned clockwise.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WORDS = """a about after again all also an and answer any are as at away back be because been before below between both but by call came
can change city close come could country day did different do does done down each early earth east end enough even every example eye far
few field find first five follow food for form found four from gave get give go good great group grow had hand hard has have he head hear
help her here high him his home house how hundred I idea if important in into is it its just keep kind know land large last late learn left
letter life light like line list little live long look made make man many mark may mean measure men might mile money more morning most mother
mountain move much must name near need never new next night no north not note notice now number of off often old on once one only open or
order other our out over own page paper part people piece place plain plan play point press problem product public question quick rain read
ready real rest right river road rock room round rule run said same saw say school sea second see seem sentence set several she short should
show side simple since six size small so some song soon sound south special spell stand start state step still stood stop story street strong
study such sun sure table take talk ten than that the their them then there these they thing think this those though thought thousand three
through time to together too took top toward town travel tree true try turn two under unit until up upon us use usual very voice vowel walk
want war warm was watch water way we week weight well went were what when where which while white who whole why will wind with without wood
word work world would write year yes you young your""".split()


def sentence(draws):
    words = [draws.choice(WORDS) for _ in range(draws.randint(6, 18))]
    return " ".join(words).capitalize() + draws.choice([".", ".", ".", "?", ";"])


def lines(draws, font, width, count):
    """`count` lines of running text, ragged right, with paragraphs."""
    found, line = [], ""
    while len(found) < count:
        for word in sentence(draws).split():
            longer = f"{line} {word}".strip()
            if font.getlength(longer) > width:
                found.append(line)
                line = word
            else:
                line = longer
        if draws.random() < 0.2:
            found += [line, ""]
            line = ""
    return found[:count]


def page(draws):
    width = draws.randint(560, 840)
    height = int(width * draws.choice([1.414, 1.294, 1.0, 0.75]))
    paper = tuple(draws.randint(225, 255) for _ in range(3))
    ink = tuple(draws.randint(0, 70) for _ in range(3))
    image = Image.new("RGB", (width, height), paper)
    canvas = ImageDraw.Draw(image)
    size = draws.randint(13, 26)
    font, margin = ImageFont.load_default(size), draws.randint(30, 80)
    top, columns, gap = margin, draws.choice([1, 1, 2]), 24
    if draws.random() < 0.5:
        title = ImageFont.load_default(int(size * 1.8))
        words = " ".join(draws.choice(WORDS) for _ in range(4)).title()
        canvas.text((margin, top), words, font=title, fill=ink)
        top += int(size * 3)
    wide = (width - 2 * margin - gap * (columns - 1)) / columns
    step = int(size * draws.uniform(1.25, 1.7))
    count = max(3, (height - top - margin) // step)
    for column in range(columns):
        used = count if column < columns - 1 or draws.random() < 0.6 else draws.randint(max(2, count // 3), count)
        for number, line in enumerate(lines(draws, font, wide, used)):
            canvas.text((margin + column * (wide + gap), top + number * step), line, font=font, fill=ink)
    return image


folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
for number in range(count):
    drawn = page(random.Random(number))
    for turned in (0, 90, 180, 270):
        (folder / str(turned)).mkdir(parents=True, exist_ok=True)
        drawn.rotate(-turned, expand=True).save(folder / str(turned) / f"{number:03}.png")
