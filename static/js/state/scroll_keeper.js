// Within this distance of the end a person counts as "at the end": a fraction of a line, for rounding.
const NEAR_END_PX = 24

/**
 * Follows the newest words only while the reader is at the end. `pane` is what scrolls (`scrollTop`,
 * `scrollHeight`, `clientHeight`). While `isEmpty()`, before the first message, reading begins at the top.
 */
export class ScrollKeeper {
  #pane
  #onFollowing
  #isEmpty
  #onNearStart
  #isFollowing = true
  #lastTop = 0

  /** `onNearStart()`: the reader scrolls up, and less than a screen is left above. */
  constructor({ pane, onFollowing, onNearStart = () => {}, isEmpty = () => false }) {
    this.#pane = pane
    this.#onNearStart = onNearStart
    this.#isEmpty = isEmpty
    this.#onFollowing = onFollowing
  }

  get isFollowing() {
    return this.#isFollowing
  }

  /** The pane was scrolled, by the reader or by us. Scrolling up by any amount stops following. */
  scrolled() {
    if (this.#isEmpty()) return
    const { scrollTop } = this.#pane
    const isUp = scrollTop < this.#lastTop
    const distance = this.#distanceToEnd()
    this.#lastTop = scrollTop
    if (distance <= 1) this.#follow(true)
    else if (isUp) this.#follow(false)
    else if (distance <= NEAR_END_PX) this.#follow(true)
    if (isUp && scrollTop <= this.#pane.clientHeight) this.#onNearStart()
  }

  /** Runs `change()`, which inserts something above, and keeps what is read in its place. */
  keepInPlace(change) {
    const fromEnd = this.#pane.scrollHeight - this.#pane.scrollTop
    change()
    this.#pane.scrollTop = this.#pane.scrollHeight - fromEnd
    this.#lastTop = this.#pane.scrollTop
  }

  /** Content or pane changed size. If everything is visible, there is no end to go back to and nothing to scroll. */
  resized() {
    if (this.#isEmpty()) return
    if (this.#pane.scrollHeight <= this.#pane.clientHeight) this.#follow(true)
    if (this.#isFollowing) this.#toEnd()
  }

  /** Runs `scroll()`, which shows something further up, and stays there. */
  goTo(scroll) {
    scroll()
    this.#lastTop = this.#pane.scrollTop
    this.#follow(this.#distanceToEnd() <= 1)
  }

  jumpToEnd() {
    this.#follow(true)
    this.#toEnd()
  }

  #toEnd() {
    this.#pane.scrollTop = this.#isEmpty() ? 0 : this.#pane.scrollHeight
    this.#lastTop = this.#pane.scrollTop
  }

  #distanceToEnd() {
    return this.#pane.scrollHeight - this.#pane.clientHeight - this.#pane.scrollTop
  }

  #follow(isFollowing) {
    if (isFollowing === this.#isFollowing) return
    this.#isFollowing = isFollowing
    this.#onFollowing(isFollowing)
  }
}
