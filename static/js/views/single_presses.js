/**
 * The second click of a double click does nothing on a button that is marked `data-once`: what it asked for the server
 * would do twice, or refuse.
 */
export function ignoreSecondPresses(root) {
  root.addEventListener(
    "click",
    (event) => {
      if (event.detail < 2 || event.target.closest("[data-once]") === null) return
      event.preventDefault()
      event.stopImmediatePropagation()
    },
    { capture: true },
  )
}
