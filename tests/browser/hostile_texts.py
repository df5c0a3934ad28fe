"""What a model could be talked into writing. Each would run a script, ask another host or lead away, were it HTML.

`CANARY` is a host that must never be asked; `canary()` a function that must never be called.
"""

CANARY = "canary.invalid"

HTML = (
    "<script>canary()</script>",
    f"<script src=https://{CANARY}/1.js></script>",
    "<img src=x onerror=canary()>",
    f'<img src="https://{CANARY}/2.png">',
    "<svg onload=canary()><circle r=1></svg>",
    "<svg><animate onbegin=canary() attributeName=x dur=1s></svg>",
    '<svg><a xlink:href="javascript:canary()"><text y=20>press</text></a></svg>',
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=canary()&gt;'>",
    '<math href="javascript:canary()">press</math>',
    f"<iframe src=https://{CANARY}/3></iframe>",
    "<iframe srcdoc='<script>parent.canary()</script>'></iframe>",
    f"<object data=https://{CANARY}/4></object><embed src=https://{CANARY}/5>",
    f"<style>@import 'https://{CANARY}/6.css'; * {{ background: url(https://{CANARY}/7.png) }}</style>",
    f"<link rel=stylesheet href=https://{CANARY}/8.css>",
    f"<meta http-equiv=refresh content='0;url=https://{CANARY}/9'>",
    f"<base href=https://{CANARY}/>",
    f"<form action=https://{CANARY}/10><input name=q autofocus onfocus=canary()><button>Sign in</button></form>",
    "<details open ontoggle=canary()><summary>more</summary></details>",
    f"<video autoplay src=https://{CANARY}/11 onerror=canary()><source src=x onerror=canary()></video>",
    f"<p style='background:url(https://{CANARY}/12)' onmouseover=canary()>near</p>",
    '<a href="javascript:canary()">press</a> <a href="data:text/html,<script>canary()</script>">press</a>',
    "<template><script>canary()</script></template><noscript><p title='</noscript><img src=x onerror=canary()>'>",
    "<textarea></textarea><script>canary()</script>",
    "<!--><img src=x onerror=canary()>-->",
    "<![CDATA[<img src=x onerror=canary()>]]>",
    '<div id="messages"></div><input name="getElementById"><form id="composer"></form>',
)

MARKDOWN = (
    "[press](javascript:canary())",
    "[press](JaVaScRiPt&colon;canary())",
    "[press](&#106;avascript:canary())",
    "[press](java%0ascript:canary())",
    "[press](\u0001javascript:canary())",
    "[press](vbscript:canary())",
    "[press](data:text/html;base64,PHNjcmlwdD5jYW5hcnkoKTwvc2NyaXB0Pg==)",
    "[press](file:///etc/passwd) [press](blob:x) [press](//relative) [press](/accounts/logout/)",
    "<javascript:canary()>",
    "[press][1]\n\n[1]: javascript:canary()",
    "[press][2]\n\n[2]: data:text/html,<script>canary()</script>",
    f"![look](https://{CANARY}/13.png)",
    f"![look][3]\n\n[3]: https://{CANARY}/14.png",
    f"[![look](https://{CANARY}/15.png)](https://{CANARY}/16)",
    "![look](javascript:canary())",
    '![look" onerror="canary()](x)',
    '[press](https://ok.invalid/"onmouseover="canary())',
    '[press](https://ok.invalid "title\\" onclick=\\"canary()")',
    f"[https://my\u202ekna\u202c.invalid](https://{CANARY}/17)",
    f"[my\u200bbank\u2066.invalid\u2069](https://{CANARY}/18)",
    "https://ok.invalid/?<script>canary()</script>",
    "`<img src=x onerror=canary()>`",
    "```html\n<script>canary()</script>\n```",
    '```"><img src=x onerror=canary()>\ncode\n```',
    "```html\n<img src=x onerror=canary()>",
    "| <img src=x onerror=canary()> |\n|:--|\n| [press](javascript:canary()) |",
    "- <script>\n- canary()\n- </script>",
    "> <iframe srcdoc='\n> <script>parent.canary()</script>'>",
    "**<b onmouseover=canary()>**" + "*" * 40 + "[" * 200 + "](",
    ">" * 60 + " deep <script>canary()</script>",
    "<scr<script>ipt>canary()</scr</script>ipt>",
    "&lt;script&gt;canary()&lt;/script&gt; &#60;img src=x onerror=canary()&#62;",
    "# <img src=x onerror=canary()> {#messages .sidebar onclick=canary()}",
)

CORPUS = HTML + MARKDOWN
