// The page behind a shared link: draws the answers as the chat does. Nothing is fetched but code that they need.

import { CodeHighlighter } from "./views/code_highlighter.js"
import { byId } from "./views/dom.js"
import { MarkdownView } from "./views/markdown_view.js"
import { MathsTypesetter } from "./views/maths_typesetter.js"

const messages = byId("messages")
const highlighter = new CodeHighlighter({ load: () => import("highlight.js") })
const typesetter = new MathsTypesetter({ load: () => import("katex"), stylesheet: messages.dataset.mathsStyles })

for (const plain of messages.querySelectorAll("[data-markdown]")) {
  const view = new MarkdownView({ highlighter, typesetter })
  view.append(plain.textContent)
  view.finish()
  plain.replaceWith(view.element)
}
document.documentElement.dataset.ready = "true"
