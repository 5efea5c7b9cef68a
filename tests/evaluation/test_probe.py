"""A linear layer on features: fitted to its minimum, on a bounded sample, never on what is scored."""

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from fs4cli.errors import InputError, UsageError
from fs4cli.evaluation import probe as module
from fs4cli.evaluation.classes import ClassTable
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.pairs import Pair
from fs4cli.evaluation.probe import describe_probe, find_overlap, fit_layer, fit_probe, score_probe
from fs4cli.progress import SilentProgress

TABLE = ClassTable(("sky", "road", "sea"), ((0,), (1,), (2,)), frozenset({255}), ("stuff", "stuff", "thing"))
OPTIONS = {"workers": 1, "frame": None, "progress": SilentProgress()}


class Colours:
    """Features are the colours of an image at stride 4."""

    clusters, key, identity, scaling = 3, "colours", {}, ""
    weight = bias = None

    def prepare(self, pixels):
        return pixels[2::4, 2::4].astype(np.float32).transpose(2, 0, 1) / 255

    def embed(self, images):
        return list(images)

    def apply(self, weight, bias):
        self.weight, self.bias = weight, bias
        return self

    def segment(self, images):
        return [np.einsum("kc,chw->khw", self.weight, image) + self.bias[:, None, None] for image in images]

    def choose(self, small, size):
        return np.kron(small.argmax(0), np.ones((4, 4), int))


def draw(folder, count, seed, values=(0, 1, 2)):
    """Images whose red, green or blue says the class; a tenth of the labels is void."""
    random, pairs = np.random.default_rng(seed), []
    folder.mkdir()
    for number in range(count):
        ids = np.kron(random.choice(values, (5, 6)), np.ones((8, 8), int))
        pixels = np.eye(3)[ids] * 150 + random.integers(0, 100, (*ids.shape, 3))
        ids[random.random(ids.shape) < 0.1] = 255
        label, image = folder / f"{number}.png", folder / f"{number}-image.png"
        Image.fromarray(ids.astype(np.uint8)).save(label)
        Image.fromarray(pixels.astype(np.uint8)).save(image)
        pairs.append(Pair(f"{folder.name}/{number}", label, image))
    return pairs


def test_the_layer_is_that_of_scikit_learn(random):
    centres = random.normal(0, 1, (4, 6))
    classes = random.integers(0, 4, 3000)
    features = (centres[classes] + random.normal(0, 1, (3000, 6))).astype(np.float32)
    layer = fit_layer(features, classes, 4)
    standard = (features - features.mean(0)) / features.std(0)
    expected = LogisticRegression(C=1 / (2 * module._DECAY * 3000), tol=1e-8, max_iter=1000).fit(standard, classes)
    found = (features @ layer.weight.T + layer.bias).argmax(1)
    assert (found == expected.predict(standard)).mean() > 0.998
    assert layer.accuracy == pytest.approx(expected.score(standard, classes), abs=2e-3)


def test_a_class_that_was_not_seen_is_never_predicted(random):
    features = random.normal(0, 1, (100, 3)).astype(np.float32)
    layer = fit_layer(features, random.choice([0, 2], 100), 3)
    assert 1 not in (features @ layer.weight.T + layer.bias).argmax(1)


def test_a_probe_reads_what_is_in_the_features_and_is_called_supervised(tmp_path):
    fitted, scored = draw(tmp_path / "fit", 6, seed=0), draw(tmp_path / "score", 4, seed=1)
    reader, colours = LabelReader(TABLE), Colours()
    layer = fit_probe(fitted, reader, colours, seed=0, **OPTIONS)
    tally = score_probe(scored, reader, colours, layer, TABLE, **OPTIONS)
    section = describe_probe(layer, tally, TABLE, fitted_on="six drawings")
    assert section["is_supervised"]
    assert section["fitted_images"] == 6
    assert section["metrics"]["all"]["accuracy"] > 0.95
    assert set(section["metrics"]) == {"all", "things", "stuff"}
    assert set(section["metrics"]["things"]["class_iou"]) == {"sea"}


def test_its_classes_are_matched_by_nothing_but_their_names(tmp_path):
    """With labels swapped in what it is fitted on, it is wrong: no matching mends that."""
    fitted, scored = draw(tmp_path / "fit", 4, seed=0, values=(0, 1)), draw(tmp_path / "score", 3, 1, values=(0, 1))
    for pair in fitted:
        ids = np.asarray(Image.open(pair.label))
        Image.fromarray(np.where(ids == 255, 255, 1 - ids).astype(np.uint8)).save(pair.label)
    reader, colours = LabelReader(TABLE), Colours()
    layer = fit_probe(fitted, reader, colours, seed=0, **OPTIONS)
    tally = score_probe(scored, reader, colours, layer, TABLE, **OPTIONS)
    assert describe_probe(layer, tally, TABLE, fitted_on="")["metrics"]["all"]["accuracy"] < 0.05


def test_the_sample_is_bounded_whatever_the_number_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIXELS", 100)
    monkeypatch.setattr(module, "IMAGES", 5)
    layer = fit_probe(draw(tmp_path / "fit", 8, seed=0), LabelReader(TABLE), Colours(), seed=0, **OPTIONS)
    assert layer.images == 5
    assert 80 < layer.pixels <= 100


def test_it_refuses_what_would_be_a_leak_or_a_guess(tmp_path):
    pairs = draw(tmp_path / "fit", 3, seed=0)
    assert find_overlap(pairs, pairs[1:2]) == ["fit/1"]
    with pytest.raises(UsageError, match="classes"):
        fit_probe(pairs, LabelReader(None), Colours(), seed=0, **OPTIONS)
    pairs[0].label.write_bytes(b"")
    with pytest.raises(InputError, match="0 bytes"):
        fit_probe(pairs, LabelReader(TABLE), Colours(), seed=0, **OPTIONS)
