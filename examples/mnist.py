"""Learn to read handwritten digits: a network, its training and its test, from start to end.

python examples/mnist.py                     a convolutional network on MNIST, in two epochs
python examples/mnist.py --model mlp         a smaller one, in seconds
python examples/mnist.py --dataset digits    scikit-learn's small digits; needs no network
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lazygrad import Tensor, TinyJit, config, nn
from lazygrad.errors import ConfigError, DatasetError, DeviceError, DownloadError

Array = np.ndarray[Any, Any]
Layers = list[Callable[[Tensor], Tensor]]


def normalize(images: Tensor) -> Tensor:
    """Points of 0..255 as floats of mean 0 and variance 1, over MNIST's training images."""
    return (images.float() - 33.3) / 78.6


def mlp() -> Layers:
    return [
        normalize,
        lambda x: x.flatten(1),
        nn.Linear(784, 128),
        Tensor.relu,
        nn.Linear(128, 10),
    ]


def cnn() -> Layers:
    return [
        normalize,
        nn.Conv2d(1, 32, 5),
        Tensor.relu,
        nn.Conv2d(32, 32, 5),
        Tensor.relu,
        nn.BatchNorm(32),
        lambda x: x.max_pool2d(2),
        nn.Conv2d(32, 64, 3),
        Tensor.relu,
        nn.Conv2d(64, 64, 3),
        Tensor.relu,
        nn.BatchNorm(64),
        lambda x: x.max_pool2d(2),
        lambda x: x.flatten(1),
        nn.Linear(576, 10),
    ]


MODELS = {"mlp": mlp, "cnn": cnn}
EPOCHS = {("mlp", "mnist"): 3, ("cnn", "mnist"): 2, ("mlp", "digits"): 20, ("cnn", "digits"): 10}


def main() -> None:
    options = parse_options()
    config.check()  # tells a mistake in an environment variable before any work
    dataset, *split = load(options.dataset)
    images, labels, test_images, test_labels = (tensor.numpy() for tensor in split)
    if options.batch_size > len(images):
        sys.exit(f"--batch-size {options.batch_size}: there are only {len(images)} images")
    epochs = options.epochs or EPOCHS[options.model, dataset]

    Tensor.manual_seed(options.seed)
    model = MODELS[options.model]()
    predict = TinyJit(lambda images: images.sequential(model).argmax(1))
    print(f"{options.model} on {dataset}: {len(images)} images, {epochs} epochs")
    for epoch, loss in enumerate(train(model, images, labels, epochs, options), start=1):
        answers = in_batches(predict, test_images)
        accuracy = 100 * np.mean(answers == test_labels)
        print(f"epoch {epoch}: loss {loss:.6f}, test accuracy: {accuracy:.2f} %")

    if options.save:
        nn.state.safe_save(nn.state.get_state_dict(model), options.save)
        print(f"saved to {options.save}")
    draw(test_images[:4, 0], answers[:4], test_labels[:4])
    print(f"test accuracy: {accuracy:.2f} %")


def train(
    model: Layers, images: Array, labels: Array, epochs: int, options: argparse.Namespace
) -> Iterator[float]:
    """Train the model, and after each epoch yield the mean of the losses that its bar showed."""
    optimizer = nn.optim.Adam(nn.state.get_parameters(model), lr=options.lr)

    @TinyJit  # compiles the whole step when first called, and from then on replays it
    def train_step(images: Tensor, labels: Tensor) -> Tensor:
        with Tensor.train():
            optimizer.zero_grad()
            loss = images.sequential(model).sparse_categorical_crossentropy(labels)
            loss.backward()
            optimizer.step()
            return loss

    size = options.batch_size
    steps = len(images) // size  # what is left over waits for the next shuffle
    rates = np.linspace(options.lr, 0, epochs * steps, endpoint=False)
    shuffle = np.random.default_rng(options.seed).permutation
    for epoch in range(epochs):
        batches = shuffle(len(images))[: steps * size].reshape(steps, size)
        losses = []
        with tqdm(total=steps * size, desc=f"epoch {epoch + 1}", unit=" images") as bar:
            for step, batch in enumerate(batches):
                optimizer.lr = rates[epoch * steps + step]
                loss = train_step(Tensor(images[batch]), Tensor(labels[batch]))
                if step % 10 == 0:  # not at each step: to read a value is to wait for the device
                    losses.append(loss.item())
                    bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
                bar.update(size)
        yield float(np.mean(losses))


def load(dataset: str) -> tuple[str, Tensor, Tensor, Tensor, Tensor]:
    """The name of the data set that is to be had, and its images and labels to train and test."""
    if dataset == "mnist":
        try:
            return "mnist", *nn.datasets.mnist()
        except DownloadError:
            print("MNIST is not on this machine and cannot be downloaded from here (LAZYGRAD_DATA")
            print("can name a folder that has it), so this trains on scikit-learn's small digits.")
    return "digits", *nn.datasets.digits()


def in_batches(predict: Callable[[Tensor], Tensor], images: Array, size: int = 1000) -> Array:
    """The predictions for all images, in batches that fit into memory; the last may be smaller."""
    starts = range(0, len(images), size)
    return np.concatenate([predict(Tensor(images[i : i + size])).numpy() for i in starts])


def draw(images: Array, answers: Array, labels: Array) -> None:
    """Print images side by side, as characters, and below each what it was taken for."""
    ink = " .:-=+*#%@"
    # Without the border, and two rows made one: a character is twice as high as it is wide.
    rows = images[:, 4:24, 4:24].reshape(-1, 10, 2, 20).mean(axis=2).swapaxes(0, 1)
    for row in rows:
        print("".join(ink[int(point) * len(ink) // 256] for point in row.flat))
    captions = [
        f"{answer}" if answer == label else f"{answer}, but is {label}"
        for answer, label in zip(answers, labels, strict=True)
    ]
    print("".join(f"{caption:^20}" for caption in captions))


def parse_options() -> argparse.Namespace:
    def at_least(least: float, valid: str) -> Callable[[str], float]:
        """Reads a number; one that is none, or too small, is refused with what is valid."""

        def parse(text: str) -> float:
            with suppress(ValueError):
                value = type(least)(text)
                if least <= value < float("inf"):
                    return value
            raise argparse.ArgumentTypeError(f"{text}: valid is {valid}")

        return parse

    positive = at_least(1, "a whole number, 1 or more")
    natural = at_least(0, "a whole number, 0 or more")
    rate = at_least(0.0, "a number, 0 or more")
    parser = argparse.ArgumentParser(description="Learn to read handwritten digits.")
    parser.add_argument("--model", choices=MODELS, default="cnn")
    parser.add_argument("--dataset", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--epochs", type=positive, help="default: what the model needs")
    parser.add_argument("--batch-size", type=positive, default=128)
    parser.add_argument("--lr", type=rate, default=4e-3, help="at the start; it falls to 0")
    parser.add_argument(
        "--seed", type=natural, default=0, help="the same seed gives the same losses"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="a safetensors file to write")
    options = parser.parse_args()
    if options.save and not options.save.parent.is_dir():
        parser.error(f"--save: there is no folder {options.save.parent}")
    return options


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DatasetError, DeviceError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)  # what a shell calls an end by Ctrl-C
