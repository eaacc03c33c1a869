"""The formats by name."""

from cardpose.data.formats import cardpoints, coco, cvat, deeplabcut, label_studio, sleap
from cardpose.data.formats.records import Format, Hidden

FORMATS = {
    "cardcut": Format(cardpoints.read, cardpoints.write, hidden=Hidden.DROPPED, cards=True, jpeg=True),
    "coco": Format(coco.read, coco.write, coco.place, cards=True, times=True),
    "cvat": Format(cvat.read, cvat.write, cards=True),
    "deeplabcut": Format(deeplabcut.read, deeplabcut.write, deeplabcut.place, hidden=Hidden.AS_VISIBLE),
    "label_studio": Format(label_studio.read, label_studio.write, cards=True),
    "sleap": Format(sleap.read, sleap.write, sleap.place, videos=True),
}
