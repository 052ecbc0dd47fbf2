// What a person with a keyboard, a screen reader or weak eyes would stumble over; evaluates to a list of complaints.
(() => {
  const complaints = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const isShown = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length > 0;
  const named = (node) => {
    const label = node.labels?.[0]?.textContent ?? "";
    return (node.getAttribute("aria-label") || node.title || label || node.textContent).trim();
  };
  const path = (node) => `${node.tagName.toLowerCase()}#${node.id}.${node.getAttribute("class")}: ${node.textContent.trim().slice(0, 40)}`;
  const require = (nodes, holds, words) => nodes.filter((n) => !holds(n)).forEach((n) => complaints.push(`${words}: ${path(n)}`));

  // names
  if (!document.documentElement.lang) complaints.push("the document has no language");
  if (!document.title) complaints.push("the document has no title");
  require(all("a[href], button, input, select, summary").filter(isShown), named, "no name");
  require(all("svg").filter(isShown), (n) => n.ariaHidden === "true" || (n.getAttribute("role") === "img" && named(n)), "picture without words");
  require(all("table"), (n) => n.caption?.textContent.trim(), "table without caption");
  require(all("table th"), (n) => n.scope, "header without scope");
  require(all("[aria-label]"), (n) => n.getAttribute("role") || /^(section|nav|dl|table)$/i.test(n.tagName), "a name on what has no role");

  // structure
  for (const only of ["main", "h1", "header", "footer"]) {
    if (all(only).length !== 1) complaints.push(`${all(only).length} of <${only}>`);
  }
  const ids = all("[id]").map((n) => n.id);
  ids.filter((id, index) => ids.indexOf(id) !== index).forEach((id) => complaints.push(`id twice: ${id}`));
  let level = 0;
  for (const heading of all("h1, h2, h3, h4").filter(isShown)) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) complaints.push(`heading jumps from ${level} to ${next}: ${path(heading)}`);
    level = next;
  }
  require(all("tbody tr"), (n) => n.getAttribute("role") === "row", "row without role");
  require(all("[role=alert], [role=status]"), (n) => !n.querySelector("[role]"), "live region in a live region");
  require(all("[tabindex]"), (n) => n.tabIndex <= 0, "order of its own");
  if (document.documentElement.scrollWidth > innerWidth) complaints.push(`wider than the window: ${document.documentElement.scrollWidth}`);

  // size of what is pressed
  require(all("button, input, select, summary").filter(isShown), (n) => n.getBoundingClientRect().height >= 24, "too small to press");

  // contrast, as WCAG 2.2 counts it
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) Object.assign(canvas, { fillStyle: colour }).fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const backgrounds = (node) => {
    const found = [];
    for (let each = node; each; each = each.parentElement) found.unshift(getComputedStyle(each).backgroundColor);
    return ["canvas", ...found];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !isShown(node) || node.closest("template, .hidden, .skip, noscript")) continue;
    const style = getComputedStyle(node);
    const behind = backgrounds(node);
    const ratio = contrast(paint([...behind, style.color]), paint(behind));
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) complaints.push(`contrast ${ratio.toFixed(2)}: ${path(node)}`);
  }
  for (const shape of all("svg rect, svg path").filter(isShown)) {
    const style = getComputedStyle(shape);
    const colour = style.fill === "none" ? style.stroke : style.fill;
    const behind = backgrounds(shape);
    const ratio = contrast(paint([...behind, colour]), paint(behind));
    if (ratio < 3) complaints.push(`contrast ${ratio.toFixed(2)} of a shape: ${path(shape)}`);
  }
  return [...new Set(complaints)];
})()
