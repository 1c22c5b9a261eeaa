"""Encoders of pictures, pre-trained and trained from the start."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from mlc.errors import DataError
from mlc.models.branches.image import ImageBranch, ImageInputs, ImageSpec, shifted
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import Batch
from mlc.models.rows.encoders import stored_encoders
from mlc.models.rows.image_encoder import ImageEncoder, load_image_encoder
from mlc.models.rows.weights import EMBEDDED, PICTURES
from mlc.rows.inputs import RowColumns

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow: pip install 'mlc[image]'")
needs_weights = pytest.mark.skipif(not PICTURES.installed, reason=f"needs its weights: {PICTURES.install}")


def write_vit(folder: Path) -> None:
    """Write a tiny vision model."""
    transformers = pytest.importorskip("transformers", reason="needs pip install 'mlc[image]'")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(image_size=32, patch_size=8, **sizes)
    transformers.ViTModel(config).save_pretrained(folder)


@pytest.fixture
def pictures(tmp_path):
    """Three paths: noise, a black square, none."""
    Image.effect_noise((40, 40), 80).save(tmp_path / "noise.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "black.png")
    return pl.Series([str(tmp_path / "noise.png"), str(tmp_path / "black.png"), None])


@needs_weights
def test_the_embedded_encoder_gives_each_picture_a_vector_and_a_missing_one_zeros(pictures):
    encoder = load_image_encoder(EMBEDDED, 64)
    vectors = encoder.vectors(pictures)
    assert vectors.shape == (3, encoder.size)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1
    assert not vectors[2].any()
    np.testing.assert_allclose(encoder.vectors(pictures[:1]), vectors[:1], atol=1e-3)
    assert encoder.as_json()["digest"] == PICTURES.digest


@needs_weights
def test_the_embedded_encoder_knows_what_it_sees():
    """Its own classifier, of which only this test has need, calls a palace a palace."""
    from sklearn.datasets import load_sample_image

    photo = Image.fromarray(load_sample_image("china.jpg")).crop((106, 0, 533, 427)).resize((224, 224))
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
    weights = torch.load(PICTURES.file(), weights_only=True)
    with torch.inference_mode():
        vector = load_image_encoder(EMBEDDED, 224).network(pixels)
        logits = vector @ weights["_fc.weight"].T + weights["_fc.bias"]
    palace = 698  # in the order of ImageNet
    assert int(logits.argmax()) == palace


def test_a_folder_of_a_vision_model_gives_vectors_too(pictures, tmp_path):
    write_vit(tmp_path / "vit")
    encoder = load_image_encoder(str(tmp_path / "vit"), 32)
    assert encoder.vectors(pictures).shape == (3, 16)
    assert len(encoder.digest) == 64


def test_a_folder_without_a_model_is_one_clear_error(tmp_path):
    pytest.importorskip("transformers", reason="needs pip install 'mlc[image]'")
    with pytest.raises(DataError, match=r"model\.image\.encoder: .* cannot be loaded .* Name the folder"):
        load_image_encoder(str(tmp_path), 32)


@needs_weights
def test_a_stored_encoder_is_found_once_and_treats_pictures_as_its_columns_say():
    stored = load_image_encoder(EMBEDDED, 32).as_json()
    columns = RowColumns(images={"front": "leave_out", "back": "leave_out", "side": "error"})
    found = stored_encoders(dict.fromkeys(columns.images, stored), columns)
    assert found["front"] is found["back"]
    assert [each.missing for each in found.values() if isinstance(each, ImageEncoder)] == [
        "leave_out",
        "leave_out",
        "error",
    ]
    with pytest.raises(DataError, match="are not those that the model was trained with"):
        stored_encoders({"front": {**stored, "digest": "0" * 64}}, columns)


def test_the_folder_of_a_vision_model_is_looked_up_from_that_of_the_scenario(tmp_path):
    write_vit(tmp_path / "vit")
    encoder = load_image_encoder("vit", 32, base=tmp_path)
    assert encoder.name == str((tmp_path / "vit").resolve())


@needs_weights
def test_weights_that_are_not_those_that_were_checked_are_refused(monkeypatch):
    monkeypatch.setattr("mlc.models.rows.weights.digest_of", lambda _: "0" * 64)
    with pytest.raises(DataError, match="holds other weights than those that mlc knows"):
        PICTURES.file()


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it():
    from dataclasses import replace

    absent = replace(PICTURES, name="no-such-package-of-weights")
    assert not absent.installed
    with pytest.raises(DataError, match="no-such-package-of-weights, which is not installed"):
        absent.file()


# ── the branch ──────────────────────────────────────────────────────────────────────────────────


def batch_of(pixels: torch.Tensor, targets: torch.Tensor) -> Batch:
    return Batch(torch.arange(len(pixels)), targets, {ImageInputs: ImageInputs(pixels)})


def network_of(spec: ImageSpec) -> Network:
    torch.manual_seed(0)
    network = Network(NetworkSpec(2, 16, 1, 0.0, {"image": spec}))
    network.fit([], torch.tensor([8.0, 8.0]), torch.tensor([16.0, 16.0]))
    return network


def test_the_image_branch_learns_where_the_light_is():
    pixels = torch.zeros((32, 3, 16, 16), dtype=torch.uint8)
    targets = torch.zeros((32, 2), dtype=torch.uint8)
    for row in range(32):
        side = row % 2
        pixels[row, :, 4:12, 8 * side + 2 : 8 * side + 4] = 255
        pixels[row, :, 4:12, 8 * side + 4] = 255 * side
        targets[row, side] = 1
    network = network_of(ImageSpec(16))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            network(batch_of(pixels, targets)), targets.float()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    assert ((network(batch_of(pixels, targets)) > 0) == targets.bool()).all()


def test_the_score_of_a_picture_does_not_depend_on_the_others():
    pixels = torch.randint(0, 255, (5, 3, 16, 16), dtype=torch.uint8)
    targets = torch.zeros((5, 2), dtype=torch.uint8)
    network = network_of(ImageSpec(16)).eval()
    with torch.inference_mode():
        together = network(batch_of(pixels, targets))
        alone = torch.cat([network(batch_of(pixels[i : i + 1], targets[:1])) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_shift_moves_whole_pictures_by_a_few_pixels():
    torch.manual_seed(3)
    pixels = torch.zeros((50, 3, 32, 32), dtype=torch.uint8)
    pixels[:, :, 16, 16] = 200
    moved = shifted(pixels)
    assert moved.shape == pixels.shape
    places = moved[:, 0].flatten(1).argmax(1)
    rows, columns = places // 32 - 16, places % 32 - 16
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}


def test_a_pretrained_encoder_keeps_its_means_and_variances_in_training():
    network = network_of(ImageSpec(32, "efficientnet_lite0", learning_rate=1e-4)).train()
    branch = network.branch(ImageBranch)
    assert branch is not None
    assert len(network.pretrained()) == len(list(branch.encoder.parameters()))
    means = dict(branch.encoder.named_buffers())["stem.1.running_mean"]
    before = means.clone()
    network(batch_of(torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8), torch.zeros((4, 2))))
    assert torch.equal(means, before)
