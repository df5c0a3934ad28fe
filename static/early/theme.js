// A classic script that runs before the page is painted, so that nobody sees the wrong theme first. Every page has it.
// The choice is kept per device, under the name and with the values of Django's admin: both follow one switch.
;(() => {
  const KEY = "theme"
  const CHOICES = ["auto", "light", "dark"]
  const root = document.documentElement
  // Storage may be forbidden: then a choice holds until the page is left.
  let unstored = null

  function chosen() {
    try {
      const stored = unstored ?? localStorage.getItem(KEY)
      return CHOICES.includes(stored) ? stored : "auto"
    } catch {
      return "auto"
    }
  }

  function keep(choice) {
    try {
      localStorage.setItem(KEY, choice)
      unstored = null
    } catch {
      unstored = choice
    }
  }

  function show() {
    const choice = chosen()
    if (choice === "auto") delete root.dataset.theme
    else root.dataset.theme = choice
    for (const select of document.querySelectorAll("[data-theme-choice]")) select.value = choice
    // What surrounds the page, such as the bar of an installed app.
    for (const meta of document.querySelectorAll("meta[data-scheme]")) meta.media = mediaOf(meta.dataset.scheme, choice)
  }

  function mediaOf(scheme, choice) {
    if (choice === "auto") return `(prefers-color-scheme: ${scheme})`
    return choice === scheme ? "all" : "not all"
  }

  show()
  document.addEventListener("DOMContentLoaded", show)
  addEventListener("storage", show)
  // A page that comes back from the browser's cache may have missed a change.
  addEventListener("pageshow", show)
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-theme-choice]")) return
    keep(event.target.value)
    show()
  })
})()
