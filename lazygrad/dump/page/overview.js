/* The first page: what was compiled, what ran, where the time went. */

function overview(compilations, about) {
  const ran = sum(compilations.map((each) => each.runSeconds));
  const compiled = sum(compilations.map((each) => each.compileSeconds));
  const peak = Math.max(0, ...compilations.flatMap(({ runs }) => runs.samples.map(([, , held]) => held + 0)));
  const card = (value, label) => element("div", { class: "card" }, element("b", {}, value), element("span", {}, label));
  const kernels = compilations.flatMap((each) => each.kernels.map((kernel) => [each, kernel]))
    .sort(([, a], [, b]) => b.total - a.total).slice(0, 25);
  const machines = Object.entries(about.machines).map(([name, machine]) =>
    `${name}: ${machine.name}, ${counted(machine.threads, "thread")}`);
  return element("div", { class: "overview" },
    element("h1", {}, about.program),
    element("div", { class: "faint" }, [about.date.replace("T", " "), ...machines].join("  ·  ")),
    element("div", { class: "cards" },
      card(String(compilations.length), "compilations"), card(secondsText(compiled), "compiling"),
      card(secondsText(ran), "in kernels"), card(secondsText(about.seconds), "in all"), card(bytesText(peak), "most memory held")),
    wholeTime({ compiling: compiled, "in kernels": ran, "this report": about.own }, about.seconds),
    element("h2", {}, "Compilations"),
    element("p", { class: "faint" }, "Each is a graph that became kernels. Choose one to see its lines of Python, its graph, its loops and its code."),
    compilationTable(compilations),
    element("h2", {}, "Kernels by time"),
    kernelTable(kernels, ran, (compilation, kernel) => choose({ c: compilation.number, kernel: kernel.number })),
    element("h2", {}, "Memory over time"), memoryChart(compilations, about.seconds),
    element("h2", {}, "Timeline"), new Timeline(compilations, about.seconds).element);
}

/** What the time in all is made of; what is left is Python's. Kernels on a GPU run beside Python. */
function wholeTime(parts, seconds) {
  const rest = Math.max(0, seconds - sum(Object.values(parts)));
  const all = Object.entries({ ...parts, "Python, loading data and the like": rest });
  const whole = Math.max(1e-12, sum(all.map(([, each]) => each)));
  return element("div", { class: "whole" },
    element("div", { class: "whole-bar", "aria-hidden": "true" },
      all.map(([, each], n) => element("i", { class: `part-${n}`, style: `flex-grow:${each / whole}` }))),
    element("div", { class: "faint" }, `${secondsText(seconds)} in all are `,
      all.map(([name, each], n) => [element("span", { class: `key part-${n}` }), `${secondsText(each)} ${name} `])));
}

const FIRST = 12; // compilations that are shown until all are asked for

/** The compilations in order; of many, first those that took most time. */
function compilationTable(compilations) {
  const taken = (each) => each.runSeconds + each.compileSeconds;
  const costly = new Set([...compilations].sort((a, b) => taken(b) - taken(a)).slice(0, FIRST));
  const holder = element("div", {});
  const show = (shown, rest) => holder.replaceChildren(tableOf(shown, Math.max(1e-12, ...shown.map(taken))),
    rest ? element("p", {}, element("button", { onclick: () => show(compilations, 0) },
      `${counted(rest, "compilation")} more, each faster than these`)) : "");
  show(compilations.filter((each) => costly.has(each)), compilations.length - costly.size);
  return holder;
}

function tableOf(compilations, most) {
  const rows = compilations.map((each) => {
    const share = (each.runSeconds + each.compileSeconds) / most;
    const cells = [String(each.kernels.length), secondsText(each.compileSeconds), each.runs.count.toLocaleString("en"),
      secondsText(each.runs.least), secondsText(each.runSeconds)];
    return clickable(element("tr", { "data-compilation": each.number },
      element("td", { class: "bar", style: `--share:${100 * share}%` }, element("span", { class: "mono" }, each.name),
        element("div", { class: "faint" }, firstLine(each))),
      cells.map((cell, n) => element("td", { class: `number${[0, 2, 3].includes(n) ? " hide-small" : ""}` }, cell))),
      () => choose({ c: each.number }));
  });
  const heads = ["kernels", "compiling", "runs", "best run", "in kernels"];
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, element("th", {}, "compilation"),
      heads.map((head, n) => element("th", { class: `number${[0, 2, 3].includes(n) ? " hide-small" : ""}` }, head)))),
    element("tbody", {}, rows)));
}

/** The line that most of a compilation comes from. */
function firstLine(compilation) {
  let best = null;
  for (const [key, line] of compilation.lines) if (!best || line.nodes.size > best[1].nodes.size) best = [key, line];
  if (!best) return compilation.device;
  const [file, number] = best[0].split(":").map(Number);
  const { path, text } = compilation.about.files[file];
  return `${baseName(path)}:${number}  ${(text.split("\n")[number - 1] ?? "").trim().slice(0, 70)}`;
}

/** The bytes held after each run. */
function memoryChart(compilations, total) {
  const samples = compilations.flatMap(({ runs }) => runs.samples.map(([at, seconds, held]) => [at + seconds, held]))
    .sort((a, b) => a[0] - b[0]);
  const most = Math.max(1, ...samples.map(([, held]) => held));
  const x = (at) => 64 + (at / Math.max(total, 1e-9)) * 920, y = (held) => 140 - (held / most) * 120;
  let path = `M${x(0)},140`;
  let last = 0;
  for (const [at, held] of samples) {
    path += `L${x(at).toFixed(1)},${y(last).toFixed(1)}L${x(at).toFixed(1)},${y(held).toFixed(1)}`;
    last = held;
  }
  path += `L${x(total)},${y(last)}L${x(total)},140Z`;
  return svgElement("svg", { class: "chart", viewBox: "0 0 1000 160", preserveAspectRatio: "none" },
    svgElement("path", { class: "area", d: path }),
    svgElement("text", { x: 4, y: 24 }, bytesText(most)), svgElement("text", { x: 4, y: 140 }, "0"),
    svgElement("text", { x: 64, y: 156 }, "0"), svgElement("text", { x: 930, y: 156 }, secondsText(total)));
}
