/* What is told of a kernel, of a node, of a line; and the table of kernels by time. */

/** A table of kernels, those that took longest first. `entries` are [compilation, kernel]. */
function kernelTable(entries, total, act) {
  const rows = entries.map(([compilation, kernel]) => {
    const share = total > 0 ? kernel.total / total : 0;
    const origin = compilation.originsOf(kernel)[0];
    const row = element("tr", { "data-kernel": kernel.number },
      element("td", { class: "number" }, String(kernel.number)),
      element("td", { class: "bar", style: `--share:${100 * share}%` }, element("span", { class: "mono" }, breakable(kernel.title)),
        element("div", { class: "faint" }, origin === undefined ? kernel.kind : originText(compilation.about, origin))),
      element("td", { class: "number" }, secondsText(kernel.total)),
      element("td", { class: "number" }, shareText(share)),
      element("td", { class: "number hide-small" }, rateText(kernel.flops, kernel.least)),
      element("td", { class: "number hide-small" }, rateText(kernel.bytes, kernel.least)));
    return clickable(row, () => act(compilation, kernel));
  });
  const heads = ["", "kernel", "time", "share", "GFLOPS", "GB/s"];
  const classes = ["number", "", "number", "number", "number hide-small", "number hide-small"];
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, heads.map((head, n) => element("th", { class: classes[n] }, head)))),
    element("tbody", {}, rows)));
}

/** A name that may be broken after each of its words. */
function breakable(name) {
  return name.split("_").flatMap((word, n) => (n ? ["_", element("wbr"), word] : [word]));
}

function byTime(kernels) {
  return [...kernels].sort((a, b) => b.total - a.total || a.number - b.number);
}

/** What is shown while nothing is chosen. */
function summary(compilation) {
  const { runs } = compilation;
  const shown = byTime(compilation.kernels).map((kernel) => [compilation, kernel]);
  return [
    element("h1", {}, compilation.name),
    element("p", { class: "faint" },
      `${counted(compilation.kernels.length, "kernel")} on ${compilation.device || "no device"}, compiled in ` +
      `${secondsText(compilation.compileSeconds)}; ${counted(runs.count, "run")}, ` +
      `${secondsText(runs.least)} at best. Choose a line, a kernel or a value.`),
    kernelTable(shown, compilation.runSeconds, (_, kernel) => choose({ kernel: kernel.number })),
    element("h3", {}, "Where compiling went"),
    phaseTable(compilation),
    element("p", { class: "faint" }, `As text and Graphviz: the folder ${compilation.folder} beside this page`),
  ];
}

const PHASES = { program: "code generation", verify: "verifying passes" };

/** The passes that took longest. */
function phaseTable(compilation) {
  const totals = new Map();
  for (const [name, , seconds] of compilation.phases) totals.set(name, (totals.get(name) ?? 0) + seconds);
  const rows = [...totals].sort((a, b) => b[1] - a[1]).slice(0, 10);
  const all = compilation.compileSeconds || 1;
  return element("div", { class: "scroll" }, element("table", {}, element("tbody", {}, rows.map(([name, seconds]) =>
    element("tr", {},
      element("td", { class: "bar", style: `--share:${(100 * seconds) / all}%` }, PHASES[name] ?? name),
      element("td", { class: "number" }, secondsText(seconds)))))));
}

// -------------------------------------------------------------------- a kernel

function kernelDetail(compilation, kernel) {
  const { runs } = compilation;
  const times = Math.max(1, runs.count);
  const machine = compilation.about.machines[compilation.device] ?? {};
  const stat = (label, value) => element("span", {}, `${label} `, element("b", {}, value));
  const ofPeak = (amount, peak, beyond = "") => {
    const share = amount / kernel.least / peak;
    return peak && kernel.least > 0 ? `, ${shareText(share)} of the peak${share > 1 ? beyond : ""}` : "";
  };
  return [
    element("h1", {}, `${kernel.number}  `, breakable(kernel.title)),
    element("div", { class: "stats" },
      stat("kind", `${kernel.kind} over ${kernel.outer}`),
      stat("time", `${secondsText(kernel.total / times)} a run, ${secondsText(kernel.least)} at best`),
      stat("share", shareText(compilation.runSeconds ? kernel.total / compilation.runSeconds : 0)),
      stat("GFLOPS", rateText(kernel.flops, kernel.least) + ofPeak(kernel.flops, machine.peak_flops)),
      stat("GB/s", rateText(kernel.bytes, kernel.least) + ofPeak(kernel.bytes, machine.peak_bytes, ": from the caches")),
      kernel.launches.length > 1 ? stat("launches", String(kernel.launches.length)) : null),
    originLinks(compilation, compilation.originsOf(kernel)),
    element("h3", {}, "Reads and writes"),
    valueTable(compilation, [...kernel.in.map((n) => ["reads", n]), ...kernel.out.map((n) => ["writes", n])]),
    element("h3", {}, "Formula"),
    formulaView(compilation, kernel),
    ...kernelCode(compilation, kernel),
    element("h3", {}, "Nodes"),
    kernelNodes(compilation, kernel),
  ];
}

function valueTable(compilation, values) {
  return element("div", { class: "scroll" }, element("table", {}, element("tbody", {}, values.map(([role, n]) => {
    const node = compilation.nodes[n];
    const row = element("tr", { "data-node": n },
      element("td", { class: "faint" }, role), element("td", {}, valueSpan(n, compilation)),
      element("td", { class: "mono" }, node.type), element("td", { class: "number" }, bytesText(node.bytes)));
    row.addEventListener("click", () => choose({ node: n }));
    return row;
  }))));
}

function formulaView(compilation, kernel) {
  const names = new Map();
  for (const n of [...kernel.in, ...kernel.out]) names.set(compilation.nameOf(n), n);
  for (const [line, n] of kernel.lines) names.set(line.split(" = ", 1)[0], n);
  const view = codeView(kernel.lines.map(([line]) => line).join("\n"), names, compilation);
  view.classList.add("formula");
  return view;
}

/** The nodes that a kernel computes, as a picture that is drawn when it is first seen. */
function kernelNodes(compilation, kernel) {
  const numbers = [...new Set([...kernel.nodes, ...kernel.in, ...kernel.out])].sort((a, b) => a - b);
  return nodeGraph(compilation, kernel.out, "none", true, numbers).element;
}

/** Loops after each pass, with what changed; code; how the loops were planned, and why. */
function kernelCode(compilation, kernel) {
  const known = compilation.functions[kernel.function];
  if (!known) return [];
  const names = new Map(Object.entries(kernel.names ?? {}));
  const views = known.passes.map(([pass, text], n) => [pass, () => {
    if (n === 0) return codeView(text, names, compilation);
    const lines = difference(known.passes[n - 1][1], text);
    return codeView(lines.map(([line]) => line).join("\n"), names, compilation, lines.map(([, mark]) => mark));
  }]);
  if (views.length > 1) views.push(["result", () => codeView(known.passes.at(-1)[1], names, compilation)]);
  const codes = Object.entries(known.code ?? {}).map(([kind, text]) =>
    [kind, () => codeView(text, kind === "asm" ? new Map() : names, compilation)]);
  const plan = [...known.plan, ...known.reasons.map((reason) => `- ${reason}`)];
  return [
    element("h3", {}, "Loops before and after each pass"),
    tabbed(views, views.length - 1, "loops"),
    ...(codes.length ? [element("h3", {}, "Code of this kernel"), tabbed(codes, 0, "code")] : []),
    ...(plan.length ? [element("h3", {}, "Plan"), codeView(plan.join("\n"), new Map(), compilation)] : []),
  ];
}

/** Several views of which one is shown; each is made when it is first asked for. */
function tabbed(views, first, name) {
  const body = element("div", {});
  const buttons = views.map(([label, make], n) => toggle(label, n === first, () => show(n)));
  const show = (n) => {
    buttons.forEach((button, other) => button.setAttribute("aria-pressed", String(other === n)));
    body.replaceChildren(views[n][1]());
    lightCode(body);
  };
  body.replaceChildren(views[first]?.[1]() ?? "");
  return element("div", { "data-tabs": name }, element("div", { class: "steps" }, buttons), body);
}

// -------------------------------------------------------------------- a node

function nodeDetail(compilation, n) {
  const node = compilation.nodes[n];
  const gradients = gradientsOf(compilation, n);
  const list = (label, numbers) => numbers.length ? [element("h3", {}, label), valueTable(compilation,
    numbers.slice(0, 40).map((x) => [compilation.nodes[x].text, x]))] : [];
  const kernelLinks = (numbers) => [...new Set(numbers)].map((k) => clickable(
    element("div", { class: "value" }, `${k}  `, breakable(compilation.kernels[k].title)), () => choose({ kernel: k })));
  const computed = kernelLinks(compilation.kernelsOf[n]), read = kernelLinks(compilation.readersOf[n]);
  return [
    element("h1", {}, element("span", { "data-node": n }, compilation.nameOf(n))),
    element("p", { class: "mono" }, node.text),
    element("div", { class: "stats" }, element("b", { class: "mono" }, node.type),
      element("span", {}, bytesText(node.bytes)), element("span", {}, ROLES[node.role] ?? node.role)),
    originLinks(compilation, node.at),
    ...(computed.length ? [element("h3", {}, "Computed in kernel"), computed] : []),
    ...(read.length ? [element("h3", {}, "Read from memory by kernel"), read] : []),
    ...list("Made of", node.in),
    ...list("Used by", compilation.users[n]),
    ...list("Its gradient", gradients),
    ...(node.of === undefined ? [] : list("The gradient of", [node.of])),
  ];
}

/** The nodes that are derivatives of a node. */
function gradientsOf(compilation, n) {
  return compilation.nodes.flatMap((node, other) => (node.of === n ? [other] : []));
}

// -------------------------------------------------------------------- a line

function lineDetail(compilation, key) {
  const line = compilation.lines.get(key);
  const [file, number] = key.split(":").map(Number);
  const { path, text } = compilation.about.files[file];
  const kernels = byTime([...line.kernels].map((k) => compilation.kernels[k]));
  const named = [...line.nodes].filter((n) => compilation.nodes[n].role !== "constant");
  return [
    element("h1", {}, `${baseName(path)}:${number}`),
    element("pre", {}, text.split("\n")[number - 1]?.trim() ?? ""),
    element("p", { class: "faint" }, `${counted(named.length, "node")} in ${counted(kernels.length, "kernel")}, ` +
      `about ${secondsText(line.seconds)} of ${secondsText(compilation.runSeconds)}`),
    kernels.map((kernel, n) => {
      const body = element("div", {});
      const made = element("details", {}, element("summary", {}, element("b", {}, `${kernel.number}  `, breakable(kernel.title)),
        `  ${secondsText(kernel.total)}`), body);
      made.addEventListener("toggle", () => {
        if (!made.open || body.firstChild) return;
        const link = clickable(element("span", { class: "value" }, "all of this kernel"), () => choose({ kernel: kernel.number }));
        body.append(link, element("h3", {}, "Formula"), formulaView(compilation, kernel), ...kernelCode(compilation, kernel));
        lightCode(body);
      });
      made.open = n === 0;
      return made;
    }),
    element("h3", {}, "Nodes"),
    valueTable(compilation, named.slice(0, 100).map((n) => [compilation.nodes[n].text, n])),
  ];
}
