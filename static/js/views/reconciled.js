/**
 * Makes the last children of `parent`, which are `before`, like `after`, and returns them. What is equal stays the same
 * node: a table keeps how far it is scrolled, a text what is selected in it.
 */
export function reconciled(parent, before, after) {
  const kept = after.map((node, place) => (place < before.length ? become(before[place], node) : node))
  parent.append(...kept.slice(before.length))
  for (const node of before.slice(after.length)) node.remove()
  return kept
}

/** Makes the node `before` like `after`, or puts `after` in its place; returns what is there then. */
export function become(before, after) {
  if (!isOfOneKind(before, after)) {
    before.replaceWith(after)
    return after
  }
  // A formula that is drawn already from the same source.
  if (before.dataset?.source !== undefined && before.dataset.source === after.textContent) return before
  if (before.nodeType === Node.TEXT_NODE) rewrite(before, after.data)
  // A button's label and state are what a person did with it.
  else if (before.nodeName !== "BUTTON") {
    takeAttributes(before, after)
    reconciled(before, [...before.childNodes], [...after.childNodes])
  }
  return before
}

const isOfOneKind = (one, other) => one.nodeName === other.nodeName && one.className === other.className

// What a person chose for it.
const KEPT = "data-wrapped"

function takeAttributes(before, after) {
  for (const { name } of [...before.attributes]) {
    if (name !== KEPT && !after.hasAttribute(name)) before.removeAttribute(name)
  }
  for (const { name, value } of after.attributes) {
    if (before.getAttribute(name) !== value) before.setAttribute(name, value)
  }
}

// Only from where they differ: what is selected before that stays selected.
function rewrite(node, text) {
  if (text.startsWith(node.data)) return node.appendData(text.slice(node.length))
  const { data } = node
  let same = 0
  while (data[same] === text[same]) same += 1
  node.replaceData(same, data.length - same, text.slice(same))
}
