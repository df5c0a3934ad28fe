/** The element with this id; a page without it is a bug. */
export function byId(id) {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`The page has no element #${id}.`)
  return element
}

/** A copy of the one element inside `<template id=…>`. */
export const fromTemplate = (id) => byId(id).content.firstElementChild.cloneNode(true)

/** The part of a component that is marked `data-part=…`. */
export function part(root, name) {
  const element = root.querySelector(`[data-part="${name}"]`)
  if (element === null) throw new Error(`No part "${name}" in ${root.tagName}.`)
  return element
}

export function show(element, isShown) {
  element.hidden = !isShown
}

/** Sets the text only if it differs: setting an equal text makes screen readers speak again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** Makes `elements` the only children of `root`; those that are in their place already are not touched. */
export function arrange(root, elements) {
  const staying = new Set(elements)
  for (const element of [...root.children]) if (!staying.has(element)) element.remove()
  for (const [place, element] of elements.entries()) {
    const there = root.children[place]
    if (there !== element) root.insertBefore(element, there ?? null)
  }
}
