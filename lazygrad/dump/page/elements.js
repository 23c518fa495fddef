/* Making elements, and writing numbers for people. */

/** An HTML element. Attributes that are functions are event handlers: { onclick: show }. */
function element(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function svgElement(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") made[name] = value;
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** Something to click that the keyboard reaches too. */
function clickable(made, act) {
  made.setAttribute("tabindex", "0");
  made.addEventListener("click", act);
  made.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === made) act(event);
  });
  return made;
}

/** A button that can be pressed and stays so. */
function toggle(text, isPressed, act, title) {
  return element("button", { "aria-pressed": String(isPressed), onclick: act, title }, text);
}

/** 0.0000031 -> "3.1 µs" */
function secondsText(seconds) {
  if (!(seconds > 0)) return "0";
  if (seconds < 1e-3) return `${(seconds * 1e6).toPrecision(3)} µs`;
  return seconds < 1 ? `${(seconds * 1e3).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`;
}

/** 16400 -> "16.4 kB" */
function bytesText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes, unit = 0;
  while (size >= 1000 && unit < units.length - 1) [size, unit] = [size / 1000, unit + 1];
  return `${unit ? size.toPrecision(3) : size} ${units[unit]}`;
}

/** Operations or bytes per second in units of 1e9: 12.4 */
function rateText(amount, seconds) {
  return seconds > 0 && amount > 0 ? (amount / seconds / 1e9).toPrecision(3) : "–";
}

function shareText(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** "1 kernel", "3 kernels" */
function counted(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}

/** The last part of a path. */
function baseName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
