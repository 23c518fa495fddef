"""The site of the book: the reference has every public name once, and links are those of pages."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import lazygrad
from docs.site import facts, reference
from docs.site.links import ROOT, for_site, site_path
from docs.site.reference import LISTS, PAGES, Entry, Reference
from docs.site.sources import highlighted, pages
from lazygrad import Tensor, config
from tests.docstrings import computed_by_the_oracle, examples, run


@pytest.fixture(scope="module")
def book() -> Reference:
    return Reference(with_facts=False)


def test_every_public_name_is_on_one_page(book: Reference) -> None:
    assert {name for entry in book.entries for name in entry.names} == set(reference.public())
    for entry, places in reference.assigned(book.entries).items():
        assert len(places) == 1, f"{entry.names[0]} of {entry.place[0]} is on {places}"


def test_every_list_has_names(book: Reference) -> None:
    names = {name for entry in book.entries for name in entry.names}
    for page in PAGES.glob("*.md"):
        for found in LISTS.finditer(page.read_text()):
            for selector in found[1].split():
                in_file = (reference.entry_is_in(entry)(selector) for entry in book.entries)
                assert selector in names or any(in_file), f"{page.name}: {selector} is nothing"


def test_a_page_has_signatures_docstrings_examples_and_links(book: Reference) -> None:
    text = book.lists_in("<!-- names: tensor.reduce -->", PAGES / "reductions.md")
    assert text == "", "a list is found by its text and its page"
    page = PAGES / "reductions.md"
    text = book.lists_in(page.read_text(), page)
    told = text.partition("### `Tensor.argmax` { #Tensor-argmax }")[2].partition("\n### ")[0]
    assert "Tensor.argmax(axis: int | None = None, keepdim: bool = False) -> Tensor" in told
    assert "```python\nTensor([[1, 5], [3, 2]]).argmax(1).tolist() == [1, 0]\n```" in told
    assert "Also `lazygrad.argmax`" in told
    assert re.search(r"\d+ of \d+ samples agree; also in bfloat16", told)
    assert re.search(r"\]\(\.\./code/lazygrad/tensor/reduce\.py\.html#L\d+\)", told)


def test_facts_are_those_of_calls(book: Reference) -> None:
    add = book.by_name["Tensor.add"].facts
    assert add is not None
    assert add.shapes == "any that broadcast; the result has the broadcast shape"
    assert add.dtypes == "any, which the result has"
    with pytest.raises(ValueError, match="do not broadcast") as raised:
        Tensor.ones(2, 3).add(Tensor.ones(5, 7))
    assert f"ShapeError: {raised.value}" in add.errors

    linear = book.by_name["nn.Linear"].facts
    assert linear is not None
    assert linear.shapes == "x (5, 3) -> (5, 2)"
    assert "ShapeError: Linear: input (5, 3, 2) does not fit weight (2, 3)" in linear.errors

    sort = book.by_name["Tensor.sort"].facts
    assert sort is not None
    assert sort.dtypes == "any; the result is its own dtype and int64"
    book = Reference(with_facts=True)
    assert "- **Raises** nothing" in book._entry(book.by_name["Tensor.exp"])


def test_an_error_of_python_itself_is_no_fact() -> None:
    def negated(x: Tensor) -> object:
        return -x.shape  # type: ignore[operator]

    assert facts.raised([facts.Call(negated, (("x", Tensor([1.0])),))]) == []


WITHOUT_A_CALL = {
    "Tensor.cuda", "Tensor.from_blob", "Tensor.from_url", "Tensor.manual_seed",
    "Tensor.set_rng_state", "lazygrad.set_default_dtype", "lazygrad.set_grad_enabled",
    "lazygrad.set_printoptions", "transforms.custom_vjp", "func.functional_call",
    "autograd.Function", "autograd.functional", "nn.Module", "nn.RNNBase", "nn.RNNCellBase",
    "nn.functional.drop_channels", "nn.functional.reduction_of",
    "nn.utils.parametrize.ParametrizationList", "nn.optim.Optimizer", "nn.optim.ParamGroup",
    "nn.lr_scheduler.LRScheduler", "distributions.Distribution", "dtypes.DType",
}  # fmt: skip
"""Bases of classes, and functions that change or read what is outside of their arguments."""


@pytest.mark.slow
def test_all_that_can_be_called_states_shapes_dtypes_errors_and_an_example(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    book = Reference(with_facts=True)
    monkeypatch.chdir(tmp_path)
    computed_by_the_oracle(monkeypatch)
    without, takes_tensors = set(), 0
    for entry, (page, _) in book.pages.items():
        is_called = callable(entry.inner) or isinstance(entry.value, property)
        if not is_called or page.name in reference.WITHOUT_FACTS:
            continue
        told = book._entry(entry)
        if "- **Raises** " not in told or not examples(entry.doc):
            without.add(entry.names[0])
        elif entry.facts is not None and entry.facts.shapes:
            takes_tensors += 1
    assert without == WITHOUT_A_CALL
    assert takes_tensors > 800


def test_links_between_names_lead_to_entries(book: Reference) -> None:
    anchors = {(book.pages[entry][0].name, entry.anchor) for entry in book.pages}
    assert len(anchors) == len(book.pages), "two entries have one anchor"
    for page in sorted(PAGES.glob("*.md")):
        for found in re.finditer(
            r"\]\(([\w-]+\.md)#([\w-]+)\)", book.lists_in(page.read_text(), page)
        ):
            assert (found[1], found[2]) in anchors, f"{page.name}: {found[0]}"


def test_signs_of_mathematics_are_text(book: Reference) -> None:
    assert book._prose(Entry(("f",), None), "e ** x, of `a * b`.") == r"e \*\* x, of `a * b`."


def test_links_to_code_lead_to_pages_of_the_site() -> None:
    text = "[p](../lazygrad/pipeline.py#L3) [c](../CONTRIBUTING.md) [d](../lazygrad/loops) [x](https://a.b)"
    assert for_site(text, "docs/why.md") == (
        "[p](code/lazygrad/pipeline.py.html#L3) [c](project/CONTRIBUTING.md)"
        " [d](code/lazygrad/loops/index.html) [x](https://a.b)"
    )
    fence = "```python\nx[0](y)\n```\n[r](docs/why.md)"
    assert for_site(fence, "README.md") == "```python\nx[0](y)\n```\n[r](../why.md)"


def test_every_file_of_the_package_has_a_page() -> None:
    written = {path for path, _ in pages()}
    for file in (ROOT / "lazygrad").rglob("*.py"):
        assert site_path(file.relative_to(ROOT).as_posix()) in written


def test_python_is_highlighted() -> None:
    assert highlighted('def f(x):  # "no"\n    return "a<b"') == (
        '<i class=k>def</i> <i class=d>f</i>(x):  <i class=c># "no"</i>\n'
        '    <i class=k>return</i> <i class=s>"a&lt;b"</i>'
    )


def test_a_setting_has_the_text_below_it(book: Reference) -> None:
    setting = book.by_name["config.BACKEND"]
    assert setting.doc.startswith("Where tensors live")
    assert "class errors.ShapeError(OperationError, ValueError, RuntimeError)" in book._entry(
        book.by_name["errors.ShapeError"]
    )


ELSEWHERE = ("lazygrad/tensor", "lazygrad/functions", "lazygrad/linalg", "lazygrad/transforms",
             "lazygrad/nn", "lazygrad/utils/data", "lazygrad/autograd", "lazygrad/func",
             "lazygrad/serialization")  # fmt: skip
"""Whose examples tests/tensor and tests/nn run."""


def test_examples_of_all_else_hold(
    book: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    count = 0
    for entry in book.entries:
        if entry.place[1] and not entry.place[0].startswith(ELSEWHERE):
            names = dict(vars(import_module(entry.inner.__module__)))
            names |= {"Tensor": Tensor, "lazygrad": lazygrad, "config": config, "np": np}
            for example in examples(entry.doc):
                run(example, names)
                count += 1
    assert count >= 35


WITHOUT_EXAMPLE = (
    "cuda.", "errors.", "nn.datasets.", "config.Setting", "helpers.fetch", "Tensor.cuda",
)  # fmt: skip
"""What there is not, what programs do not call themselves, and what needs files or a network."""


def test_every_function_and_class_has_an_example(book: Reference) -> None:
    without = [
        entry.names[0]
        for entry in book.entries
        if entry.place[1]
        and not entry.place[0].startswith("lazygrad/nn")  # tests/nn has those without
        and not entry.names[0].startswith(("utils.data.", *WITHOUT_EXAMPLE))
        and not examples(entry.doc)
    ]
    assert without == []
