"""What one must download for a data set, and how it looks on the disk: the words of messages."""

from fs4cli.evaluation.benchmarks import Family

DOWNLOADS: dict[Family, tuple[str, ...]] = {
    "cocostuff": (
        "labels: `stuffthingmaps_trainval2017.zip` (659 MB; listed in the README of github.com/nightrome/cocostuff)",
        "images, which only a model needs: `val2017.zip` (1 GB), `train2017.zip` (18 GB), from cocodataset.org",
    ),
    "cityscapes": (
        "labels: `gtFine_trainvaltest.zip` (241 MB), after free registration at cityscapes-dataset.com",
        "images, which only a model needs: `leftImg8bit_trainvaltest.zip` (11 GB), from there too",
    ),
    "voc": ("`VOCtrainval_11-May-2012.tar` (2 GB), named VOC2012 train/validation data at host.robots.ox.ac.uk",),
    "folders": (),
}
"""By family, the archives' names and sizes."""

TREES: dict[Family, tuple[str, ...]] = {
    "cocostuff": (
        "it should look like `annotations/val2017/000000000139.png` and `images/val2017/000000000139.jpg`, or",
        "`stuffthingmaps/val2017/...png` and `val2017/...jpg`, or as the zips unpack: `val2017/` with either or both",
    ),
    "cityscapes": (
        "it should look like `gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png`",
        "and `leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png`",
    ),
    "voc": (
        "it should look like `VOCdevkit/VOC2012/SegmentationClass/2007_000033.png`, `JPEGImages/2007_000033.jpg` and",
        "`ImageSets/Segmentation/val.txt`",
    ),
    "folders": (
        "it should look like `labels/test/a.png` and `images/test/a.jpg`, with a `classes.yaml` beside `labels/`, or",
        "without the split's folder",
    ),
}
"""By family, how the files should lie."""

OFFICIAL_COUNTS = {
    ("cocostuff", "train2017"): 118287,
    ("cocostuff", "val2017"): 5000,
    ("cityscapes", "train"): 2975,
    ("cityscapes", "val"): 500,
}
"""By family and folder, the images of the whole data set."""
