// Each block goes the way of its own first words: one answer may hold Arabic and English paragraphs.
const BLOCKS = "p, h2, h3, h4, h5, h6, li, blockquote, table"
// These begin their block, which already goes their way; with a direction of their own they would not count for it.
const FIRST_INSIDE = ":is(li, blockquote) > :is(p, h2, h3, h4, h5, h6):first-child"

/** Code and formulas are read from left to right, wherever they stand, and say nothing about the words around it. */
export function directBlocks(fragment) {
  for (const block of fragment.querySelectorAll(BLOCKS)) if (!block.matches(FIRST_INSIDE)) block.dir = "auto"
  for (const latin of fragment.querySelectorAll("code, .code, .math")) latin.dir = "ltr"
}
