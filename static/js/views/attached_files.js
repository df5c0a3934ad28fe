import { fromTemplate, part, show } from "./dom.js"

/** The files of a stored message, for `fileList`: names, then pictures as `{ id, name, width, height }`. */
export const filesOf = ({ attachments, images = [] }) => [...attachments, ...images]

/** The same of a message that is not sent yet. */
export const filesToSend = (attachments = []) => attachments.map((file) => (file.width > 0 ? file : file.name))

/** Shows a message's files in `list`: a picture as such, of the others the name. */
export function fileList(list, files) {
  list.replaceChildren(...files.map((file) => (typeof file === "string" ? fileNamed(file) : picture(file))))
  show(list, files.length > 0)
}

function fileNamed(name) {
  const file = fromTemplate("attached-file-template")
  part(file, "name").textContent = name
  return file
}

/** Shows a picture of one's own in `image`; its place is kept free until it is there. */
export function showPicture(image, { id, name, width, height }) {
  image.width = width
  image.height = height
  image.alt = name
  image.src = `${image.dataset.base}${id}/`
}

function picture(file) {
  const shown = fromTemplate("attached-picture-template")
  const image = part(shown, "image")
  showPicture(image, file)
  part(shown, "link").href = image.src
  return shown
}
