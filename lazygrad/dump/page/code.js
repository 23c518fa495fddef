/* Code and formulas as text, in which values are marked and can be followed. */

const WORD = /[A-Za-z_][\w.]*|[^A-Za-z_]+/g;

/** Text with values: `names` maps words to the numbers of nodes; each is shown by its own name. */
function withValues(text, names, compilation) {
  const parts = [];
  for (const [word] of text.matchAll(WORD)) {
    const found = names.get(word) ?? names.get(word.split(".")[0]);
    if (found === undefined) {
      parts.push(word);
      continue;
    }
    const rest = names.has(word) ? "" : word.slice(word.indexOf("."));
    const name = compilation.nodes[found].name ?? (rest ? word.split(".")[0] : word);
    parts.push(valueSpan(found, compilation, name), rest);
  }
  return joinedText(parts);
}

function joinedText(parts) {
  const found = [];
  for (const part of parts) {
    if (typeof part === "string" && typeof found.at(-1) === "string") found[found.length - 1] += part;
    else found.push(part);
  }
  return found;
}

/** A node's name, which leads to the node. */
function valueSpan(n, compilation, text) {
  const made = element("span", { class: "value", "data-node": n }, text ?? compilation.nameOf(n));
  return clickable(made, (event) => {
    event.stopPropagation();
    choose({ node: n });
  });
}

/** Lines of code; `marks` says of each line whether it is "added". */
function codeView(text, names, compilation, marks = []) {
  const lines = text.replace(/\n$/, "").split("\n");
  const shown = lines.map((line, n) => {
    const comment = /^\s*[#;]/.test(line) ? "comment" : "";
    const made = element("span", { class: `${marks[n] ?? ""} ${comment}`.trim() || null });
    made.append(...withValues(line || " ", names, compilation));
    return made;
  });
  return element("pre", { class: "code", tabindex: "0" }, shown);
}

/** The lines of `after`, and between them those of `before` that are gone: [text, mark] pairs. */
function difference(before, after) {
  const old = before.split("\n"), now = after.split("\n");
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  const most = Math.min(old.length, now.length) - start;
  while (end < most && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
  const middle = commonLines(old.slice(start, old.length - end), now.slice(start, now.length - end));
  const same = (lines) => lines.map((line) => [line, ""]);
  return [...same(now.slice(0, start)), ...middle, ...same(now.slice(now.length - end))];
}

const TABLE = 4_000_000; // cells of the table of common lines; larger texts are shown as all new

/** The same by the longest common subsequence. */
function commonLines(old, now) {
  if (old.length * now.length > TABLE) {
    return [...old.map((line) => [line, "removed"]), ...now.map((line) => [line, "added"])];
  }
  const width = now.length + 1;
  const length = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      length[i * width + j] =
        old[i] === now[j]
          ? length[(i + 1) * width + j + 1] + 1
          : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
  }
  const lines = [];
  let i = 0, j = 0;
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      lines.push([now[j], ""]);
      [i, j] = [i + 1, j + 1];
    } else if (j >= now.length ||
               (i < old.length && length[(i + 1) * width + j] >= length[i * width + j + 1])) {
      lines.push([old[i++], "removed"]);
    } else lines.push([now[j++], "added"]);
  }
  return lines;
}
