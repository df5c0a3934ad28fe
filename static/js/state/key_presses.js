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
