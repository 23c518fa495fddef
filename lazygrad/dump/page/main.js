/* What is shown, where it is kept (in the address, so that one can go back), and keys. */

let ABOUT, COMPILATIONS; // of the report, from begin() on
const VIEW = document.getElementById("view");
const SEARCH = document.getElementById("search");

/** What is chosen: c, a compilation; stage, fold; and a kernel, node or line. */
let state = {};
let shown = null; // the CompilationView that is on the page

function choose(parts) {
  const next = { ...state, ...parts };
  if ("c" in parts && parts.c !== state.c && !("kernel" in parts)) next.kernel = next.node = next.line = null;
  const one = ["kernel", "node", "line"].find((name) => parts[name] !== undefined && parts[name] !== null);
  if (one) for (const name of ["kernel", "node", "line"]) if (name !== one) next[name] = null;
  next.c ??= 0;
  const pairs = Object.entries(next).filter(([, value]) => value !== null && value !== undefined);
  const hash = `#${new URLSearchParams(pairs)}`;
  if (hash === location.hash) showState();
  else location.hash = hash;
}

function stateOfAddress() {
  const found = new URLSearchParams(location.hash.replace(/^#\/?/, ""));
  const number = (name) => (found.has(name) ? Number(found.get(name)) : null);
  const c = number("c");
  if (c === null || !COMPILATIONS[c]) return { c: null };
  const fold = found.get("fold") in FOLDS ? found.get("fold") : "layer";
  return { c, stage: found.get("stage") ?? "kernels", fold,
    kernel: number("kernel"), node: number("node"), line: found.get("line") };
}

function showState() {
  state = stateOfAddress();
  document.getElementById("compilations").value = state.c ?? "";
  if (state.c === null) {
    shown = null;
    VIEW.replaceChildren(overview(COMPILATIONS, ABOUT));
  } else if (shown?.compilation.number !== state.c) {
    shown = new CompilationView(COMPILATIONS[state.c]);
    VIEW.replaceChildren(shown.element);
  }
  const absent = absentParts();
  const note = document.getElementById("absent");
  note.hidden = !absent.length;
  note.textContent = `The address asks for what this report does not have: ${absent.join(", ")}.`;
  shown?.update();
}

/** What the address asks for and the report does not have. */
function absentParts() {
  const has = (name, value) => {
    if (name === "c") return COMPILATIONS[value] !== undefined;
    if (!shown) return false;
    const { compilation, stages } = shown;
    const known = { kernel: compilation.kernels, node: compilation.nodes, fold: FOLDS }[name];
    if (known) return known[value] !== undefined;
    if (name === "stage") return stages.some((stage) => stage.name === value);
    return name === "line" && compilation.lines.has(value);
  };
  const asked = [...new URLSearchParams(location.hash.replace(/^#\/?/, ""))];
  return asked.filter(([name, value]) => !has(name, value)).map((pair) => pair.filter(Boolean).join(" "));
}

// -------------------------------------------------------------------- one compilation

class CompilationView {
  constructor(compilation) {
    this.compilation = compilation;
    this.stages = stagesOf(compilation);
    this.sources = new SourcePane(compilation, ABOUT);
    this.bar = element("div", { class: "bar-top" });
    this.body = element("div", { style: "flex:1;min-height:0;display:flex;flex-direction:column" });
    this.stage = element("section", { class: "column", "aria-label": "stage" }, this.bar, this.body);
    this.detail = element("div", { class: "detail" });
    const details = element("section", { class: "column", "aria-label": "detail" }, this.detail);
    const names = ["Source", "Stages", "Detail"];
    this.buttons = names.map((name, n) => toggle(name, n === 1, () => this.turn(n)));
    this.element = element("div", { class: "columns", "data-shown": "1" },
      this.sources.element, this.stage, details, element("nav", { class: "switch" }, this.buttons));
  }

  /** On a narrow screen, one of the columns is shown. */
  turn(n) {
    this.element.dataset.shown = n;
    this.buttons.forEach((button, other) => button.setAttribute("aria-pressed", String(other === n)));
  }

  update() {
    const wanted = this.stages.find(({ name }) => name === state.stage) ?? this.stages[0];
    const key = `${wanted.name} ${state.fold}`;
    if (key !== this.key) {
      this.key = key;
      this.showStage(wanted);
    }
    const { kernel, node, line } = state;
    const chosen = `${kernel} ${node} ${line}`;
    if (chosen !== this.chosen) {
      if (chosen !== "null null null") this.turn(2);
      this.chosen = chosen;
      this.detail.replaceChildren(...this.details().flat(Infinity).filter(Boolean));
      this.detail.parentNode.scrollTop = 0;
    }
    this.light();
  }

  showStage(stage) {
    const { graph, content } = stage.make();
    this.graph = graph;
    this.body.replaceChildren(...content);
    const tabs = this.stages.map((each) => toggle(each.name, each === stage, () => choose({ stage: each.name }), each.title));
    const tools = graph ? [
      stage.isFolding ? element("select", { "aria-label": "fold", onchange: (event) => choose({ fold: event.target.value }) },
        Object.entries(FOLDS).map(([name, label]) => element("option", { value: name, selected: name === state.fold }, `fold ${label}`))) : null,
      element("button", { onclick: () => graph.setAllOpen(false), title: "fold all" }, "fold"),
      element("button", { onclick: () => graph.setAllOpen(true), title: "open all" }, "open"),
      element("button", { onclick: () => graph.canvas.zoom(1.4), title: "larger (+)" }, "+"),
      element("button", { onclick: () => graph.canvas.zoom(1 / 1.4), title: "smaller (−)" }, "−"),
      element("button", { onclick: () => graph.canvas.fit(0), title: "all of it (0)" }, "fit"),
    ] : [];
    this.bar.replaceChildren(...tabs, element("span", { class: "tools" }, tools));
    search();
  }

  details() {
    const { compilation } = this;
    if (state.kernel !== null && compilation.kernels[state.kernel]) {
      return kernelDetail(compilation, compilation.kernels[state.kernel]);
    }
    if (state.node !== null && compilation.nodes[state.node]) return nodeDetail(compilation, state.node);
    if (compilation.lines.has(state.line)) return lineDetail(compilation, state.line);
    return summary(compilation);
  }

  /** Mark everywhere what belongs to what is chosen. */
  light() {
    const { compilation } = this;
    const { kernel, node, line } = state;
    let nodes = new Set(), kernels = new Set(), origins = [];
    if (kernel !== null && compilation.kernels[kernel]) {
      const own = compilation.kernels[kernel];
      nodes = new Set([...own.nodes, ...own.out]);
      kernels = new Set([kernel]);
      origins = compilation.originsOf(own);
    } else if (node !== null && compilation.nodes[node]) {
      nodes = new Set([node]);
      kernels = new Set([...compilation.kernelsOf[node], ...compilation.readersOf[node]]);
      origins = compilation.nodes[node].at;
    } else if (line !== null) ({ nodes, kernels } = compilation.lines.get(line) ?? { nodes, kernels });
    this.lit = nodes;
    this.sources.mark(line !== null ? new Set([line]) : linesOfOrigins(ABOUT, origins), line ?? undefined);
    this.graph?.light(
      (box) => (box.kernel === undefined ? box.nodes.some((n) => nodes.has(n)) : kernels.has(box.kernel)),
      (box) => (box.kernel === undefined && box.nodes.includes(node)) || (box.kernel !== undefined && box.kernel === kernel));
    for (const row of this.detail.querySelectorAll("tr[data-kernel]")) {
      row.classList.toggle("lit", kernels.has(Number(row.dataset.kernel)));
    }
    lightCode(this.detail);
  }
}

/** Mark the values that belong to what is chosen, and the lines of code that they stand in. */
function lightCode(inside) {
  if (!shown?.lit || state.kernel !== null) return;
  for (const value of inside.querySelectorAll(".value[data-node]")) {
    const isLit = shown.lit.has(Number(value.dataset.node));
    value.classList.toggle("lit", isLit);
    if (isLit) value.closest(".code > span")?.classList.add("lit");
  }
}

/** What can be looked at: the fused kernels first, then each stage in order. */
function stagesOf(compilation) {
  const graphOf = (view) => ({ graph: view, content: [view.element] });
  const found = [];
  if (compilation.kernels.length) {
    found.push({ name: "kernels", title: "what runs: fused kernels", make: () => graphOf(kernelGraph(compilation, compilation.kernels)) });
  }
  for (const stage of compilation.stages) {
    if (stage.kind === "graph") {
      found.push({ name: stage.name, title: "nodes", isFolding: true,
        make: () => graphOf(nodeGraph(compilation, stage.outputs, state.fold)) });
    } else if (stage.kind === "schedule") {
      const kernels = stage.kernels.map((each) => (typeof each === "number" ? compilation.kernels[each] : each));
      found.push({ name: stage.name, title: "kernels", make: () => graphOf(kernelGraph(compilation, kernels)) });
    } else found.push({ name: stage.name, title: "values in memory", make: () => ({ content: memoryView(compilation, stage) }) });
  }
  found.push({ name: "timeline", title: "what ran when", make: () => ({ content: [timelineOf(compilation)] }) });
  return found;
}

/** The time from the compilation's first pass to its last shown run. */
function timelineOf(compilation) {
  const made = new Timeline([compilation], ABOUT.seconds);
  const { runs, phases } = compilation;
  const ends = [...phases.map(([, at, long]) => at + long), ...runs.details.map(([at, times]) => at + sum(times))];
  made.range(Math.max(0, compilation.began * 0.999), Math.max(...ends, compilation.began + 1e-6));
  return made.element;
}

// -------------------------------------------------------------------- search, hints, keys

let match = 0;

function search() {
  const text = SEARCH.value;
  const count = shown?.graph?.search(text, match) ?? 0;
  document.getElementById("found").textContent = text && shown?.graph ? (count ? `${(match % count) + 1} of ${count}` : "none") : "";
}

function showHint(event, text) {
  const hint = document.getElementById("hint");
  hint.hidden = false;
  hint.textContent = text;
  hint.style.left = `${Math.min(event.clientX + 14, window.innerWidth - hint.offsetWidth - 8)}px`;
  hint.style.top = `${Math.min(event.clientY + 14, window.innerHeight - hint.offsetHeight - 8)}px`;
}

function hideHint() {
  document.getElementById("hint").hidden = true;
}

/** A value under the pointer is marked wherever it is shown. */
function hover(event) {
  const value = event.target.closest?.("[data-node]")?.dataset.node;
  for (const hot of document.querySelectorAll(".hot")) if (hot.dataset.node !== value) hot.classList.remove("hot");
  if (value === undefined) return;
  for (const same of document.querySelectorAll(`[data-node="${value}"]:not(tr)`)) same.classList.add("hot");
}

function turnTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  for (const made of document.querySelectorAll(".timeline")) made.dispatchEvent(new Event("redraw"));
}

function nextKernel(by) {
  const count = shown?.compilation.kernels.length;
  if (count) choose({ kernel: ((state.kernel ?? (by > 0 ? -1 : 0)) + by + count) % count });
}

const KEYS = {
  "/": ["search; Enter goes to the next match", () => SEARCH.focus()],
  o: ["overview", () => (location.hash = "#/")],
  j: ["next kernel", () => nextKernel(1)],
  k: ["kernel before", () => nextKernel(-1)],
  g: ["graph", () => choose({ stage: "graph" })],
  f: ["fused kernels", () => choose({ stage: "kernels" })],
  "+": ["larger", () => shown?.graph?.canvas.zoom(1.4)],
  "-": ["smaller", () => shown?.graph?.canvas.zoom(1 / 1.4)],
  0: ["all of the picture", () => shown?.graph?.canvas.fit(0)],
  t: ["light or dark", turnTheme],
  Escape: ["choose nothing", () => state.c !== null && choose({ kernel: null, node: null, line: null })],
  "?": ["these keys", showKeys],
};

function showKeys() {
  const dialog = document.getElementById("keys");
  dialog.replaceChildren(element("h2", {}, "Keys"), element("table", {}, Object.entries(KEYS).map(([key, [does]]) =>
    element("tr", {}, element("td", {}, element("kbd", {}, key)), element("td", {}, does)))),
    element("form", { method: "dialog" }, element("button", {}, "close")));
  dialog.showModal();
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("keys").open) return;
  if (event.target === SEARCH) {
    if (event.key === "Escape") SEARCH.blur();
    return;
  }
  if (["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const [, act] = KEYS[event.key] ?? [];
  if (!act) return;
  event.preventDefault();
  act();
}

/** The page's data, which is JSON, compressed by gzip, in base64. */
async function unpacked() {
  const packed = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

async function begin() {
  // Before anything waits: the page is not to be painted light first where dark is preferred.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => (document.documentElement.dataset.theme = dark.matches ? "dark" : "light"));
  const data = await unpacked();
  ABOUT = data.about;
  COMPILATIONS = data.compilations.map((each, n) => new Compilation(each, ABOUT, n));
  document.title = `${ABOUT.program} – lazygrad`;
  const select = document.getElementById("compilations");
  select.append(element("option", { value: "" }, "overview"), ...COMPILATIONS.map((each) =>
    element("option", { value: each.number }, `${each.number + 1}  ${each.name}`)));
  select.addEventListener("change", () => (select.value === "" ? (location.hash = "#/") : choose({ c: Number(select.value) })));
  SEARCH.addEventListener("input", () => {
    match = 0;
    search();
  });
  SEARCH.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    match += event.shiftKey ? -1 : 1;
    if (match < 0) match = 0;
    search();
  });
  document.getElementById("theme").addEventListener("click", turnTheme);
  document.getElementById("help").addEventListener("click", showKeys);
  document.addEventListener("mouseover", hover);
  document.addEventListener("keydown", press);
  window.addEventListener("hashchange", showState);
  showState();
}

begin();
