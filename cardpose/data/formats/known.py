"""The formats by the name that a user gives them."""

from cardpose.data.formats import cardpoints, coco, cvat, deeplabcut, label_studio, sleap
from cardpose.data.formats.records import Format, Hidden

FORMATS = {
    "cardcut": Format(
        cardpoints.read, cardpoints.write, cardpoints.place, Hidden.DROPPED, cards=True, jpeg=True
    ),
    "coco": Format(coco.read, coco.write, coco.place, Hidden.KEPT, cards=True, times=True),
    "cvat": Format(cvat.read, cvat.write, cvat.place, Hidden.KEPT, cards=True),
    "deeplabcut": Format(deeplabcut.read, deeplabcut.write, deeplabcut.place, Hidden.AS_VISIBLE, cards=False),
    "label_studio": Format(
        label_studio.read, label_studio.write, label_studio.place, Hidden.KEPT, cards=True
    ),
    "sleap": Format(sleap.read, sleap.write, sleap.place, Hidden.KEPT, cards=False, videos=True),
}
