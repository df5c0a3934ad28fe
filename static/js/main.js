// Wiring only: creates the parts, connects them, and starts. What a part does is in its own file.

import { TypingTracker } from "warmcache/typing.js"
import { config, scopeFor } from "./config.js"
import { ConversationActions } from "./page/conversation_actions.js"
import { ConversationSwitcher } from "./page/conversation_switcher.js"
import { Keyboard } from "./page/keyboard.js"
import { MessageActions } from "./page/message_actions.js"
import { MessageFinder } from "./page/message_finder.js"
import { MessageWriting } from "./page/message_writing.js"
import { Navigation } from "./page/navigation.js"
import { ServerFrames } from "./page/server_frames.js"
import { TemporaryChat } from "./page/temporary_chat.js"
import { afterPaint, monotonicNow, browserTimers as timers, wallNow } from "./page/timing.js"
import { unsentValues } from "./page/unsent_values.js"
import { AttachmentUploads } from "./state/attachment_uploads.js"
import { ConversationList } from "./state/conversation_list.js"
import { ConversationSession } from "./state/conversation_session.js"
import { Drafts } from "./state/drafts.js"
import { EarlierMessages } from "./state/earlier_messages.js"
import { Outbox } from "./state/outbox.js"
import { QuotaClock } from "./state/quota_clock.js"
import { ReadMarks } from "./state/read_marks.js"
import { ReleaseWatch } from "./state/release_watch.js"
import { RenderScheduler } from "./state/render_scheduler.js"
import { ScrollKeeper } from "./state/scroll_keeper.js"
import { SearchBox } from "./state/search_box.js"
import { wipeStored } from "./state/sign_out_wipe.js"
import { StoredValues } from "./state/stored_values.js"
import { TtftMeter } from "./state/ttft_meter.js"
import { newUuid } from "./state/uuid.js"
import { WarmthClock } from "./state/warmth_clock.js"
import { WholeConversation } from "./state/whole_conversation.js"
import { AckPacer } from "./transport/ack_pacer.js"
import { AttachmentRequests } from "./transport/attachment_requests.js"
import { ConversationRequests } from "./transport/conversation_requests.js"
import { ImportRequests } from "./transport/import_requests.js"
import { PROTOCOL_VERSION, replySeen } from "./transport/protocol.js"
import { ChatSocket } from "./transport/socket.js"
import { Announcer } from "./views/announcer.js"
import { AssistantDialog } from "./views/assistant_dialog.js"
import { AssistantPicker } from "./views/assistant_picker.js"
import { AttachmentTray } from "./views/attachment_tray.js"
import { CodeHighlighter } from "./views/code_highlighter.js"
import { Composer } from "./views/composer.js"
import { ConnectionNotice } from "./views/connection_notice.js"
import { ConversationHeader } from "./views/conversation_header.js"
import { ConversationMenu } from "./views/conversation_menu.js"
import { ConversationView } from "./views/conversation_view.js"
import { byId, part } from "./views/dom.js"
import { Drawer } from "./views/drawer.js"
import { EarlierNotice } from "./views/earlier_notice.js"
import { FoundWords } from "./views/found_words.js"
import { ImportButton } from "./views/import_button.js"
import { MathsTypesetter } from "./views/maths_typesetter.js"
import { MessageList } from "./views/message_list.js"
import { Notices } from "./views/notices.js"
import { QueueView } from "./views/queue_view.js"
import { SearchPanel } from "./views/search_panel.js"
import { ShareDialog } from "./views/share_dialog.js"
import { isPlainClick, Sidebar } from "./views/sidebar.js"
import { ignoreSecondPresses } from "./views/single_presses.js"
import { SuggestionList } from "./views/suggestion_list.js"
import { UndoNotice } from "./views/undo_notice.js"
import { VersionNotice } from "./views/version_notice.js"
import { WarmthBadge } from "./views/warmth_badge.js"

const fetch = (...request) => globalThis.fetch(...request)
const touch = matchMedia("(hover: none) and (pointer: coarse)")
const isTouch = () => touch.matches
const stored = (kind, open = () => localStorage) =>
  new StoredValues({ open, prefix: `warmcache:${kind}:${config.user.id}` })
const unsent = unsentValues({ stored, uuid: newUuid, clock: wallNow })

// Transport: the socket, and what decides when something is sent over it
const socket = new ChatSocket({
  connect: () => new WebSocket(new URL(config.socket_path, location.href.replace(/^http/, "ws"))),
  clock: wallNow,
  timers,
  random: Math.random,
  handshakeMs: config.timings.handshake_ms,
  onFrame: (frame, bytes) => server.take(frame, bytes),
  onStatus: (status) => server.connectionChanged(status),
})
const send = (frame) => socket.send(frame)
const outbox = new Outbox({
  values: stored("outbox"),
  timers,
  clock: wallNow,
  uuid: newUuid,
  ackTimeoutMs: config.timings.ack_timeout_ms,
  transmit: send,
  onChange: (entry) => writing.deliveryChanged(entry),
})
const acks = new AckPacer({ clock: monotonicNow, timers, onAck: (replyId, seq) => send(replySeen(replyId, seq)) })
const typing = new TypingTracker({
  timers,
  onStarted: (chars) => writing.tellTyping(chars),
  onStopped: () => writing.tellTypingStopped(),
})
const editing = new TypingTracker({
  timers,
  onStarted: (chars) => writing.tellEditing(chars),
  onStopped: () => writing.tellTypingStopped(),
})
const meter = new TtftMeter({
  // A hidden page paints nothing, so the person sees its first words only after coming back.
  afterPaint: (callback) => document.visibilityState === "visible" && afterPaint(callback),
  onMeasured: (replyId, ttftMs) => {
    list.reply(replyId)?.measured(ttftMs)
    send(replySeen(replyId, session.lastSeq, ttftMs))
  },
})

// The parts of the page
const drafts = new Drafts({ values: unsent.texts, edits: stored("edit") })
const announcer = new Announcer({ region: byId("announcements") })
const notices = new Notices({ root: byId("notice"), onDismissed: () => composer.rest() })
const header = new ConversationHeader({ root: byId("conversation-header") })
const connectionNotice = new ConnectionNotice({ element: byId("connection-status"), timers })
const badge = new WarmthBadge({ root: byId("warmth") })
const warmth = new WarmthClock({
  clock: wallNow,
  timers,
  maxRemembered: config.limits.followed_prompts,
  onChange: (now) => badge.show(now),
})
const navigation = new Navigation({ urls: config.urls, onArrive: (id) => switcher.arriveAt(scopeFor(id)) })
const requests = new ConversationRequests({ base: config.urls.conversation, csrfToken: config.csrf_token, fetch })
const temporaryChat = new TemporaryChat({
  welcome: byId("welcome"),
  line: byId("temporary-line"),
  requests,
  notices,
  onEnd: () => switcher.goToNewChat(),
})
const menuActions = new ConversationActions({
  requests,
  notices,
  undo: new UndoNotice({ root: byId("undo"), timers, shownMs: config.timings.undo_ms }),
  maxPinned: config.limits.pinned_conversations,
})
const picker = new AssistantPicker({
  root: byId("welcome"),
  suggestions: new SuggestionList({
    root: byId("suggestions"),
    assistants: config.assistants,
    onChosen: (text) => composer.write(text),
  }),
  onChosen: (id) => switcher.chooseAssistant(id),
})
const pane = byId("messages-pane")
const keeper = new ScrollKeeper({
  pane,
  onFollowing: (isFollowing) => (byId("jump-to-latest").hidden = isFollowing),
  onNearStart: () => earlier.want(),
  isEmpty: () => list.isEmpty,
})
const earlierNotice = new EarlierNotice({ root: byId("earlier"), pane, onWanted: () => view.askForEarlier() })
const earlier = new EarlierMessages({
  send,
  onChange: (now) => {
    earlierNotice.show(now)
    whole.changed(now)
  },
})
const whole = new WholeConversation({
  want: () => earlier.want(),
  later: (callback) => afterPaint(callback),
  onWhole: () => print(),
})
const list = new MessageList({
  root: byId("messages"),
  highlighter: new CodeHighlighter({ load: () => import("highlight.js") }),
  typesetter: new MathsTypesetter({ load: () => import("katex"), stylesheet: config.urls.maths_styles }),
  clock: monotonicNow,
  scheduler: new RenderScheduler({ requestFrame: (draw) => requestAnimationFrame(draw), now: monotonicNow }),
  onTryAgain: (replyId, pressedAt) => actions.tryAgain(replyId, pressedAt),
  onGoOn: (pressedAt) => writing.goOn(pressedAt),
  onRetry: (clientMessageId) => writing.retry(clientMessageId),
  onEdit: (clientMessageId) => writing.takeBack(clientMessageId),
  onRevising: (messageId, text) => writing.revising(messageId, text),
  onRevise: (messageId, text, pressedAt) => writing.revise(messageId, text, pressedAt),
  onSelect: (messageId, step) => actions.select(messageId, step),
  onAnswer: (replyId, callId, answer) => session.answer(replyId, callId, answer),
  drafts,
  limits: config.limits,
  isTouch,
})
const queue = new QueueView({
  root: byId("queue"),
  onSend: (messageId, pressedAt) => actions.sendQueued(messageId, pressedAt),
  onEdit: (messageId) => actions.withdraw(messageId, { isWanted: true }),
  onRemove: (messageId) => actions.withdraw(messageId, { isWanted: false }),
})
const composer = new Composer({
  form: byId("composer"),
  onSend: (text, pressedAt) => writing.send(text, pressedAt),
  onTyped: (text) => writing.typed(text),
  onStop: () => session.stop(),
  onEditLast: () => list.editLast(),
  isTouch,
})
const quotas = new QuotaClock({ clock: wallNow, timers, onChange: (text) => composer.quota(text) })
const uploads = new AttachmentUploads({
  requests: new AttachmentRequests({ url: config.urls.attachments, csrfToken: config.csrf_token, fetch }),
  maxBytes: config.attachments.max_bytes,
  maxTotalBytes: config.attachments.max_total_bytes,
  maxCount: config.attachments.max_count,
  onChange: (scope) => writing.attachmentsChanged(scope),
  onReady: (scope, entry) => writing.attached(scope, entry),
  values: unsent.files,
  clock: wallNow,
  keptMs: config.attachments.kept_seconds * 1000,
})
const tray = new AttachmentTray({
  form: byId("composer"),
  dropZone: byId("main"),
  pasteChars: config.limits.paste_chars,
  onFiles: (files) => uploads.add(session.scope, files),
  onRemove: (key) => uploads.remove(session.scope, key),
})
const shareDialog = new ShareDialog({
  dialog: byId("share-dialog"),
  share: (id, days) => requests.share(id, days),
})
const assistantDialog = new AssistantDialog({
  dialog: byId("assistant-dialog"),
  assistants: config.assistants,
  estimate: (id, assistantId) => requests.readingAnew(id, assistantId),
  change: (id, assistantId) => requests.changeAssistant(id, assistantId),
})
const menu = new ConversationMenu({
  menu: byId("conversation-menu"),
  urlOf: (id) => navigation.urlOf(id),
  onRename: (id, title) => menuActions.rename(id, title),
  onPin: (conversation) => menuActions.pin(conversation),
  onArchive: (conversation) => menuActions.archive(conversation),
  onDelete: (conversation) => menuActions.delete(conversation),
  onShare: (conversation) => shareDialog.open(conversation),
  onAssistant: (conversation) => assistantDialog.open(conversation),
})
const conversations = new ConversationList({
  conversations: config.conversations,
  next: config.next_conversations,
  send,
  clock: wallNow,
})
const sidebar = new Sidebar({
  parts: {
    list: byId("conversations"),
    empty: byId("no-conversations"),
    more: byId("more-conversations"),
    archive: byId("show-archive"),
  },
  conversations,
  urlOf: (id) => navigation.urlOf(id),
  onOpen: (id) => switcher.goTo(scopeFor(id)),
  onMenu: (conversation, button) => menu.open(conversation, button),
})
const search = new SearchBox({
  send,
  timers,
  maxChars: config.limits.query_chars,
  onChange: (now) => searchPanel.show(now),
})
const searchPanel = new SearchPanel({
  parts: {
    form: byId("search"),
    results: byId("search-results"),
    list: byId("conversation-list"),
    status: byId("search-status"),
    more: byId("more-results"),
  },
  clock: wallNow,
  urlOf: (id) => navigation.urlOf(id),
  onTyped: (text) => search.typed(text),
  onEnter: () => search.now(),
  onMore: () => search.more(),
  onOpen: (id) => switcher.goTo(scopeFor(id)),
  onHit: (hit) => finder.go(hit),
})
const imports = new ImportRequests({ url: config.urls.import, csrfToken: config.csrf_token, fetch })
new ImportButton({
  root: byId("import"),
  onFile: async (file) => {
    const { message } = await imports.send(file)
    if (message === undefined) location.assign(config.urls.home)
    else notices.say(message)
  },
})
const drawer = new Drawer({
  panel: byId("sidebar"),
  rest: byId("main"),
  button: byId("open-sidebar"),
  backdrop: byId("sidebar-backdrop"),
  isNarrow: matchMedia("(width < 48rem)"),
})

// The conversation, and how frames and actions change it
const view = new ConversationView({
  list,
  queue,
  elsewhere: byId("elsewhere"),
  header,
  picker,
  composer,
  keeper,
  announcer,
  meter,
  sidebar,
  navigation,
  outbox,
  drafts,
  earlier,
  uploads,
  tray,
  badge,
  temporaryChat,
  titleChars: config.limits.title_chars,
  onFirstState: () => (document.documentElement.dataset.ready = "true"),
})
const session = new ConversationSession({
  scope: scopeFor(config.conversation_id),
  send,
  outbox,
  view,
  timers,
  random: Math.random,
})

const readMarks = new ReadMarks({
  send,
  isVisible: () => document.visibilityState === "visible",
  isUnread: (id) => conversations.get(id)?.unread === true,
})

// What an action of the person, or a frame from the server, does to all parts
const finder = new MessageFinder({
  session,
  goTo: (scope) => switcher.goTo(scope),
  closeDrawer: () => drawer.close(),
  list,
  earlier,
  keeper,
  words: new FoundWords(),
  notices,
  announcer,
  timers,
  send,
  scopeFor,
})
const switcher = new ConversationSwitcher({
  session,
  typing,
  editing,
  warmth,
  view,
  drawer,
  notices,
  navigation,
  readMarks,
  finder,
  temporaryChat,
  newChat: scopeFor(null),
})
const ofMessages = { session, meter, view, list, composer, keeper, notices }
const actions = new MessageActions(ofMessages)
const writing = new MessageWriting({
  ...ofMessages,
  socket,
  outbox,
  drafts,
  typing,
  editing,
  uploads,
  announcer,
  temporaryChat,
})
const reload = () => location.reload()
const versionNotice = new VersionNotice({ root: byId("new-version"), onReload: reload })
const releases = new ReleaseWatch({
  release: config.release,
  protocol: PROTOCOL_VERSION,
  clock: wallNow,
  timers,
  random: Math.random,
  isBusy: () => isWorking(),
  isVisible: () => document.visibilityState === "visible",
  onNewer: () => versionNotice.show(),
  reload,
})
// What a reload would cut off or forget; drafts are kept.
const isWorking = () =>
  session.runningReplyId !== null ||
  outbox.isSendingTo(session.scope) ||
  uploads.isBusy(session.scope) ||
  temporaryChat.isWanted ||
  (session.scope.conversationId === null && session.scope.assistantId !== config.assistant_id)
const server = new ServerFrames({
  session,
  outbox,
  drafts,
  typing,
  editing,
  acks,
  warmth,
  quotas,
  earlier,
  view,
  composer,
  sidebar,
  conversations,
  search,
  readMarks,
  finder,
  header,
  notices,
  connectionNotice,
  switcher,
  temporaryChat,
  releases,
  signIn: () => location.assign(`${config.urls.sign_in ?? "/accounts/login/"}?next=${location.pathname}`),
})

// The window
ignoreSecondPresses(document)
pane.addEventListener("scroll", () => keeper.scrolled(), { passive: true })
byId("jump-to-latest").addEventListener("click", () => {
  keeper.jumpToEnd()
  composer.rest()
})
part(byId("elsewhere"), "go").addEventListener("click", () => actions.showRunning())
byId("print").addEventListener("click", () => whole.fetch())
const showShortcuts = () => byId("shortcuts-dialog").showModal()
byId("show-shortcuts").addEventListener("click", showShortcuts)
new Keyboard({
  target: document,
  isOver: () => document.querySelector("dialog[open], :popover-open") !== null,
  onPrint: () => whole.fetch(),
  onSearch: () => {
    drawer.open()
    searchPanel.focus()
  },
  onShortcuts: showShortcuts,
  onStop: () => session.stop(),
})
byId("new-chat").addEventListener("click", (event) => {
  if (!isPlainClick(event)) return
  event.preventDefault()
  switcher.goToNewChat()
  composer.focus()
})
const resizes = new ResizeObserver(() => keeper.resized())
for (const element of [byId("messages"), byId("queue"), pane]) resizes.observe(element)
byId("sign-out").addEventListener("submit", () =>
  wipeStored(
    () => localStorage,
    () => sessionStorage,
  ),
)
addEventListener("online", () => socket.wake())
addEventListener("pageshow", () => socket.wake())
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") socket.wake()
  readMarks.visibilityChanged()
  releases.touched()
})
for (const kind of ["keydown", "pointerdown", "wheel"]) {
  addEventListener(kind, () => releases.touched(), { passive: true, capture: true })
}

view.opening(session.scope)
warmth.show(session.scope)
socket.start()
if (matchMedia("(pointer: fine)").matches) composer.focus()
