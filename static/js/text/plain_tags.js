const TAG = /<(?:br *\/?|(\/?)(sub|sup|kbd|mark))>/iy

/**
 * A markdown-it rule for the few HTML tags that models write where Markdown has no sign of its own: a line break in a
 * table's cell, small letters below and above. They take no attribute; all other tags stay text.
 */
export function plainTag(state, isSilent) {
  TAG.lastIndex = state.pos
  const found = TAG.exec(state.src)
  if (found === null || TAG.lastIndex > state.posMax) return false
  const [whole, slash, name] = found
  if (name !== undefined && !isPaired(state, { isClosing: slash !== "", name: name.toLowerCase(), isSilent }))
    return false
  if (name === undefined && !isSilent) state.push("hardbreak", "br", 0)
  state.pos += whole.length
  return true
}

// A tag without its other half is text.
function isPaired(state, { isClosing, name, isSilent }) {
  const tags = tagsOf(state, name)
  if (isClosing ? tags.open === 0 : tags.lastClosing < state.pos) return false
  if (isSilent) return true
  tags.open += isClosing ? -1 : 1
  state.push(`${name}_${isClosing ? "close" : "open"}`, name, isClosing ? -1 : 1)
  return true
}

function tagsOf(state, name) {
  state.plainTags ??= new Map()
  if (!state.plainTags.has(name)) {
    state.plainTags.set(name, { open: 0, lastClosing: state.src.toLowerCase().lastIndexOf(`</${name}>`) })
  }
  return state.plainTags.get(name)
}
