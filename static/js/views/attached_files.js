import { fromTemplate, part, show } from "./dom.js"

/** Shows the names of a message's files in `list`. */
export function fileList(list, names) {
  list.replaceChildren(...names.map(fileNamed))
  show(list, names.length > 0)
}

function fileNamed(name) {
  const file = fromTemplate("attached-file-template")
  part(file, "name").textContent = name
  return file
}
