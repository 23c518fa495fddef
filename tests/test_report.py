"""The report in a browser: Chromium, driven by Playwright, opens it from disk."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, jit, nn
from lazygrad.nn.optim import Adam

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of some steps of training."""
    out = tmp_path_factory.mktemp("report")
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = Adam(model.parameters(), lr=1e-3)

    @jit
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    with lazygrad.dump(out):
        for _ in range(3):
            step(Tensor(np.ones((8, 16), np.float32)), Tensor(np.ones((8, 4), np.float32)))
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    """The report, opened; no error and no request to a network is allowed until the test ends."""
    opened = browser.new_page(viewport={"width": 1600, "height": 1000})
    wrong: list[str] = []
    opened.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request",
        lambda r: r.url.startswith(("file:", "data:", "about:")) or wrong.append(r.url),
    )
    opened.goto((folder / "index.html").as_uri())
    opened.wait_for_selector(".overview")  # its data is unpacked after the page is loaded
    yield opened
    opened.close()
    assert wrong == []


def step_number(page: Any) -> int:
    names = page.locator("#compilations option").all_inner_texts()
    return next(n for n, name in enumerate(names) if name.endswith(" step")) - 1


def open_step(page: Any, rest: str = "") -> None:
    page.evaluate(f"location.hash = 'c={step_number(page)}{rest}'")
    page.wait_for_selector(".column:nth-of-type(2) .picture .box")


def test_the_overview_leads_to_a_compilation_and_back(page):
    assert page.locator("[data-compilation]").count() >= 1
    assert page.locator(".card").count() == 5
    page.locator("[data-compilation]").first.click()
    page.wait_for_selector(".picture .box")
    page.keyboard.press("o")
    page.wait_for_selector(".overview")
    page.go_back()
    page.wait_for_selector(".columns")


def test_a_line_lights_its_kernels_loops_and_values_and_a_kernel_its_lines(page):
    open_step(page)
    line = page.locator(".source .known", has_text="model(x) - y")
    line.click()
    page.wait_for_selector(".source .chosen")
    assert page.locator(".picture .box.lit").count() >= 1
    assert page.locator(".detail details[open] .code").count() >= 2  # formula, loops, code
    assert page.locator(".detail .value.lit").count() >= 1
    page.locator(".picture .box[data-kernel]").first.click()
    page.wait_for_selector(".picture .box.chosen")
    assert "kernel=" in page.url
    assert page.locator(".source .known.lit").count() >= 1
    page.go_back()
    page.wait_for_selector(".source .chosen")


def test_a_kernel_shows_loops_after_each_pass_and_its_code(page):
    open_step(page, "&kernel=0")
    loops = page.locator("[data-tabs=loops]")
    loops.get_by_role("button").nth(1).click()
    assert loops.locator(".added").count() >= 1
    assert page.locator("[data-tabs=code] .code").inner_text().strip()
    assert "…" not in page.locator(".formula").inner_text()


def test_a_node_shows_what_it_is_made_of_and_hovering_marks_it_everywhere(page):
    open_step(page, "&kernel=0")
    value = page.locator(".detail td .value").first
    value.hover()
    assert page.locator(".hot").count() >= 2
    value.click()
    page.wait_for_function("location.hash.includes('node=')")
    assert page.locator(".detail h1").inner_text()
    assert re.search(r"float32|int", page.locator(".detail").inner_text())


def test_graphs_zoom_fold_and_are_searched(page):
    open_step(page, "&stage=gradients")
    page.wait_for_selector(".picture .box")
    layer = page.locator(".picture > svg > g")
    before = layer.get_attribute("transform")
    layer_of_page = "document.querySelector('.picture > svg > g')"
    page.locator(".picture").hover()
    page.mouse.wheel(0, -400)
    page.wait_for_function(
        f"before => {layer_of_page}.getAttribute('transform') !== before",
        arg=before,
    )
    page.get_by_role("button", name="fold", exact=True).click()
    folded = page.locator(".picture .box").count()
    page.get_by_role("button", name="open", exact=True).click()
    assert page.locator(".picture .box").count() > folded
    page.locator("select[aria-label=fold]").select_option("kernel")
    page.wait_for_function("location.hash.includes('fold=kernel')")
    page.keyboard.press("/")
    page.keyboard.type("mul")
    page.wait_for_selector(".picture .box.found")
    assert re.match(r"1 of \d+", page.locator("#found").inner_text())
    page.keyboard.press("Enter")
    assert re.match(r"2 of \d+", page.locator("#found").inner_text())


def test_every_stage_can_be_shown_in_both_themes_and_on_a_phone(page):
    open_step(page)
    names = page.locator(".bar-top").nth(1).locator("button[title]").all_inner_texts()
    stages = [n for n in names if n not in ("fold", "open", "+", "−", "fit")]
    assert stages[0] == "kernels"
    assert {"graph", "gradients", "memory", "timeline"} <= set(stages)
    for stage in stages:
        page.get_by_role("button", name=stage, exact=True).click()
        pressed = page.locator(".bar-top button[aria-pressed=true]", has_text=stage)
        pressed.wait_for()
        page.wait_for_selector(".column:nth-of-type(2) :is(.picture .box, canvas.timeline)")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.set_viewport_size({"width": 390, "height": 800})
    shown = [page.locator(".column").nth(n).is_visible() for n in range(3)]
    assert shown == [False, True, False]
    page.locator(".switch button").first.click()
    assert page.locator(".source").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_dark_is_what_the_system_prefers(browser, folder):
    page = browser.new_page(color_scheme="dark")
    page.goto((folder / "index.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()


def test_ten_thousand_nodes_open_folded(browser, tmp_path):
    x = Tensor.ones(64, 64).contiguous().realize()
    y = x
    for n in range(2500):
        y = (y * x + float(n)).tanh() - x
    path = lazygrad.draw(y).save(tmp_path / "large.html")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".picture .box")
    assert 2 <= page.locator(".picture .box").count() < 200
    page.close()


def test_a_picture_that_was_not_moved_is_fitted_anew_when_its_pane_changes(page):
    def spread() -> tuple[float, float]:
        """The room to the left and to the right of the boxes."""
        return page.evaluate("""() => {
          const pane = document.querySelector(".picture").getBoundingClientRect();
          const boxes = [...document.querySelectorAll(".picture .box rect")]
            .map((box) => box.getBoundingClientRect());
          const left = Math.min(...boxes.map((box) => box.left)) - pane.left;
          return [left, pane.right - Math.max(...boxes.map((box) => box.right))];
        }""")

    open_step(page)
    page.keyboard.press("0")  # all of it
    page.set_viewport_size({"width": 1100, "height": 700})
    page.wait_for_timeout(100)
    left, right = spread()
    assert left == pytest.approx(right, abs=2)
    page.locator(".picture").hover()
    page.mouse.wheel(0, -400)
    before = page.locator(".picture > svg > g").get_attribute("transform")
    page.set_viewport_size({"width": 1000, "height": 700})
    page.wait_for_timeout(100)
    after = page.locator(".picture > svg > g").get_attribute("transform")
    assert before.split("scale")[1] == after.split("scale")[1]  # what was zoomed stays so
    assert before != after


def test_the_lines_of_a_plan_are_told_apart(page):
    open_step(page, "&kernel=0")
    labels = page.locator("[data-tabs=loops] button").all_inner_texts()
    assert len(labels) == len(set(labels))
    assert any(re.fullmatch(r"split i\d+ .*", label) for label in labels)


@pytest.mark.parametrize(
    ("address", "absent"),
    [
        ("c=99", "c 99"),
        ("nonsense", "nonsense"),
        ("c=0&line=9:9", "line 9:9"),
        ("c=0&stage=none&kernel=999", "stage none, kernel 999"),
    ],
)
def test_an_address_says_what_it_asks_for_in_vain(page, address, absent):
    page.evaluate(f"location.hash = '{address}'")
    note = page.locator("#absent")
    note.wait_for()
    assert note.inner_text().endswith(f"what this report does not have: {absent}.")
    page.evaluate("location.hash = 'c=0'")
    page.wait_for_selector(".columns")
    assert not note.is_visible()


def test_the_time_in_all_is_explained(page):
    text = page.locator(".whole").inner_text()
    assert all(word in text for word in ("in all are", "compiling", "in kernels", "this report"))
    shares = page.locator(".whole-bar i").evaluate_all("all => all.map((i) => +i.style.flexGrow)")
    assert sum(shares) == pytest.approx(1, abs=1e-4)


def test_tables_fit_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    too_wide = "all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).length"
    assert page.locator(".scroll").evaluate_all(too_wide) == 0
    open_step(page)
    page.locator(".switch button").last.click()
    assert page.locator(".detail .scroll").evaluate_all(too_wide) == 0
    page.set_viewport_size({"width": 844, "height": 390})  # turned
    page.locator(".switch button").nth(1).click()
    page.wait_for_timeout(100)
    pane, boxes = page.locator(".picture").bounding_box(), page.locator(".picture .box")
    middles = [box.bounding_box() for box in boxes.all()]
    left = min(box["x"] for box in middles) - pane["x"]
    right = pane["x"] + pane["width"] - max(box["x"] + box["width"] for box in middles)
    assert left == pytest.approx(right, abs=2)


def test_a_chain_of_views_is_one_box_and_a_sole_group_is_open(browser, tmp_path):
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(12)))
    page = browser.new_page()
    page.goto(lazygrad.draw(model[0](Tensor.ones(2, 4))).save(tmp_path / "small.html").as_uri())
    page.wait_for_selector(".picture .box")
    texts = page.locator(".picture .box").all_text_contents()
    assert any(re.search(r"reshape .*, expand ", text) for text in texts)
    page.goto(lazygrad.draw(model(Tensor.ones(2, 4))).save(tmp_path / "large.html").as_uri())
    page.wait_for_selector(".picture .box")
    assert page.locator(".picture .box").count() > 2
    page.close()


def test_of_many_compilations_the_costliest_come_first(page: Any) -> None:
    """The others are shown when they are asked for; the table of kernels is not pushed away."""
    page.evaluate("""() => {
        const one = (n) => ({ name: `size ${n}`, number: 0, runSeconds: n, compileSeconds: 0 });
        const many = Array.from({ length: 30 },
            (_, n) => Object.assign(Object.create(COMPILATIONS[0]), one(n)));
        VIEW.replaceChildren(compilationTable(many));
    }""")
    rows = page.locator("tr[data-compilation] .mono")
    assert rows.all_inner_texts() == [f"size {n}" for n in range(18, 30)]
    page.get_by_role("button", name="18 compilations more").click()
    assert rows.count() == 30


def test_on_a_phone_a_kernel_in_the_address_is_shown(browser: Any, page: Any, folder: Path) -> None:
    number = step_number(page)
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    phone.goto(f"{(folder / 'index.html').as_uri()}#c={number}&kernel=0")
    heading = phone.locator(".detail h1")
    heading.wait_for()
    assert heading.is_visible()
    assert heading.evaluate("h => h.scrollWidth <= h.clientWidth")
    phone.close()
