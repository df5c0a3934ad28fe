/** Whether the key belongs to an input method that composes a word. Safari tells it of the last key only by its code. */
export const isComposing = ({ isComposing, keyCode }) => isComposing || keyCode === 229

/**
 * Whether this key sends the text. On a touch keyboard, which has no other key for it, Enter begins a new line; Ctrl or
 * Command with Enter sends everywhere.
 */
export function meansSend(event, { isTouch }) {
  if (event.key !== "Enter" || isComposing(event)) return false
  return event.ctrlKey || event.metaKey || !(event.shiftKey || isTouch)
}

/** Whether the browser would print. */
export const meansPrint = ({ key, ctrlKey, metaKey, shiftKey, altKey }) =>
  (ctrlKey || metaKey) && !shiftKey && !altKey && key.toLowerCase() === "p"

/** Whether the browser would search in the page, or in its address bar. */
export const meansSearch = ({ key, ctrlKey, metaKey, shiftKey, altKey }) =>
  (ctrlKey || metaKey) && !shiftKey && !altKey && key.toLowerCase() === "k"

/** Whether this key, in an empty message box, goes to the message before. */
export const meansEditLast = (event) => event.key === "ArrowUp" && !hasModifier(event) && !isComposing(event)

/** Whether this key stops what is going on. */
export const meansStop = (event) => event.key === "Escape" && !hasModifier(event) && !isComposing(event)

/** Whether this key asks for the list of keys. A question mark is also a letter: `isInText` says where it is typed. */
export function meansShortcuts(event, { isInText }) {
  if (isComposing(event) || event.altKey) return false
  const isCommand = event.ctrlKey || event.metaKey
  return isCommand ? event.key === "/" : event.key === "?" && !isInText
}

const hasModifier = ({ ctrlKey, metaKey, shiftKey, altKey }) => ctrlKey || metaKey || shiftKey || altKey
