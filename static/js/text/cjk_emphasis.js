// Chinese, Japanese and Korean put no spaces between words, so that CommonMark takes the stars of `**注意：**重要` for
// text: a closing mark after punctuation needs a space behind it. Here their characters count as such a space.
const CJK = /[\u3000-\u303F\uFE30-\uFE4F\uFF00-\uFFEF]|\p{scx=Han}|\p{scx=Hira}|\p{scx=Kana}|\p{scx=Hang}|\p{scx=Bopo}/u
const PUNCTUATION = /[\p{P}\p{S}]/u
const SPACE = /\s/

/** markdown-it's `StateInline`, in which emphasis may begin and end at such a character. */
export const withCjkEmphasis = (State) =>
  class extends State {
    scanDelims(start, canSplitWord) {
      const usual = super.scanDelims(start, canSplitWord)
      const before = kindOf([...this.src.slice(Math.max(0, start - 2), start)].at(-1))
      const end = start + usual.length
      const after = kindOf(end < this.posMax ? String.fromCodePoint(this.src.codePointAt(end)) : undefined)
      if (!before.isCjk && !after.isCjk) return usual
      const isLeft = flanks(after, before)
      const isRight = flanks(before, after)
      return {
        can_open: isLeft && (canSplitWord || !isRight || before.isPunctuation),
        can_close: isRight && (canSplitWord || !isLeft || after.isPunctuation),
        length: usual.length,
      }
    }
  }

// Whether the marks belong to the text on the `inner` side.
const flanks = (inner, outer) =>
  !inner.isSpace && (inner.isCjk || !inner.isPunctuation || outer.isSpace || outer.isPunctuation || outer.isCjk)

const kindOf = (char = " ") => ({
  isSpace: SPACE.test(char),
  isCjk: !SPACE.test(char) && CJK.test(char),
  isPunctuation: PUNCTUATION.test(char),
})
