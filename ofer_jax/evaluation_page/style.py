"""The page's style: colours by the reader's scheme, tables that become lists on a phone."""

_LIGHT = """
  --page: #faf9f6; --card: #ffffff; --ink: #222428; --soft: #66666a; --line: #e4e1da;
  --code: #f1efe9; --accent: #c2501f; --mark: #a9a59b;
  --c0: #1f6fb4; --c1: #c9571d; --c2: #2b8a57; --c3: #8450b4; --c4: #a97c00; --c5: #bf3f72;
  --c6: #5c6770; --c7: #14888f; color-scheme: light;
"""
_DARK = """
  --page: #15171a; --card: #1d2024; --ink: #e9e7e2; --soft: #a3a19b; --line: #33373d;
  --code: #24282d; --accent: #f0915f; --mark: #6d7178;
  --c0: #6fb1ec; --c1: #f09055; --c2: #63c790; --c3: #bd93ea; --c4: #dcb548; --c5: #ee82ab;
  --c6: #a4afb8; --c7: #55c4ca; color-scheme: dark;
"""
_COLORS = "\n".join(f".c{i} {{ --own: var(--c{i}); }}" for i in range(8))
STYLE = (
    f"""
:root {{{_LIGHT}}}
@media (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}
{_COLORS}
"""
    + """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: clamp(1.7rem, 4.4vw, 2.5rem); line-height: 1.15; margin: 0 0 6px;
  letter-spacing: -.02em; }
h2 { font-size: 1.45rem; margin: 0 0 4px; letter-spacing: -.01em; }
h3 { font-size: 1.02rem; margin: 30px 0 8px; }
p { margin: 0 0 12px; }
.lead { color: var(--soft); max-width: 74ch; }
.eyebrow { color: var(--accent); font-weight: 600; letter-spacing: .04em; margin: 0 0 6px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr));
  margin: 24px 0; padding: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; overflow: hidden; }
.facts div { padding: 12px 14px; box-shadow: 1px 1px 0 var(--line); }
.facts dt { color: var(--soft); font-size: .82rem; }
.facts dd small { display: block; color: var(--soft); font-weight: 400; }
.facts dd { margin: 0; font-weight: 600; font-size: .93rem; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
.findings { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px 24px 10px; }
.findings dl { display: grid; grid-template-columns: minmax(130px, 190px) 1fr; gap: 10px 22px;
  margin: 12px 0 10px; }
.findings dt { color: var(--accent); font-weight: 600; }
.findings dd { margin: 0; max-width: 84ch; }
.caveat { border-left: 3px solid var(--accent); padding: 2px 0 2px 14px; margin: 18px 0; }
nav { display: flex; flex-wrap: wrap; gap: 8px; margin: 22px 0 0; }
nav a { color: var(--ink); text-decoration: none; border: 1px solid var(--line);
  background: var(--card); border-radius: 999px; padding: 4px 14px; font-size: .9rem; }
nav a:hover, nav a:focus-visible { border-color: var(--accent); color: var(--accent); }
section { margin-top: 56px; padding-top: 28px; border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .94rem; }
th, td { text-align: left; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line);
  vertical-align: middle; }
thead th { color: var(--soft); font-weight: 500; font-size: .84rem; }
tbody th { font-weight: 400; }
section > table th:first-child { width: 23%; }
tr.strong th, tr.strong b { color: var(--accent); font-weight: 700; }
td > span { white-space: nowrap; }
td b { font-weight: 600; }
td small { color: var(--soft); font-size: .84em; white-space: nowrap; }
.est { display: flex; align-items: center; gap: 12px; }
.est > span { min-width: 10.6em; }
.est em { font-style: normal; color: var(--soft); white-space: nowrap; }
.bar { flex: 1 1 90px; min-width: 90px; max-width: 190px; height: 18px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 13px; font-family: inherit; }
svg text.title { fill: var(--ink); }
.track, .grid { stroke: var(--line); }
.axis { stroke: var(--mark); }
.mark { stroke: var(--mark); stroke-dasharray: 3 3; }
.interval { stroke: var(--own); stroke-width: 5; stroke-linecap: round; opacity: .32; }
.dot { fill: var(--own); }
.ring { fill: none; stroke: var(--own); stroke-width: 2; }
.curve { fill: none; stroke: var(--own); stroke-width: 2.2; stroke-linejoin: round; }
.dashed { stroke-dasharray: 5 4; }
.band { fill: var(--own); opacity: .12; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr));
  gap: 20px; margin: 22px 0; align-items: start; }
.chart { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 16px 18px; }
figcaption { font-weight: 600; margin-bottom: 10px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 10px 0 0;
  padding: 0; font-size: .86rem; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: 7px; }
.key { width: 18px; border-top: 3px solid var(--own); flex: none; }
.key.open { border-top-style: dashed; }
.key.round { width: 10px; height: 10px; border: 2px solid var(--own); border-radius: 50%;
  background: var(--own); }
.key.round.open { background: none; }
.notes { color: var(--soft); font-size: .88rem; max-width: 92ch; margin-top: 16px; }
.command { background: var(--code); border: 1px solid var(--line); border-radius: 10px;
  padding: 11px 16px; margin: 16px 0 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.command code::before { content: "$ "; color: var(--soft); }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
details { margin: 14px 0; }
summary { cursor: pointer; color: var(--accent); font-weight: 500; }
.scroll { overflow-x: auto; margin-top: 10px; }
.scroll table { font-size: .84rem; width: max-content; min-width: 100%; }
.cases { display: grid; gap: 16px; margin: 14px 0; }
.case { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; margin: 0; }
.case header { display: flex; flex-wrap: wrap; gap: 2px 18px; align-items: baseline;
  margin-bottom: 10px; }
.case header b { font-size: 1.02rem; }
.case header span { color: var(--soft); font-size: .9rem; }
.strip { display: grid; grid-template-columns: repeat(6, 1fr); gap: 10px; }
.strip figure { margin: 0; min-width: 0; }
.strip img { width: 100%; aspect-ratio: 1; display: block; border-radius: 8px;
  background: var(--code); }
.strip figcaption { font-weight: 400; font-size: .82rem; margin: 5px 0 0; line-height: 1.3; }
.strip.whole img { object-fit: contain; }
.strip .name { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.strip figcaption small { color: var(--soft); display: block; font-size: 1em; }
.heat { display: flex; align-items: center; gap: 10px; font-size: .86rem; color: var(--soft);
  margin: 12px 0; }
.heat i { width: 180px; height: 12px; border-radius: 6px; flex: none;
  background: linear-gradient(90deg, rgb(26 31 92), rgb(31 112 143), rgb(115 186 110),
  rgb(250 222 115)); }
footer { margin-top: 64px; color: var(--soft); font-size: .86rem; }
a { color: var(--accent); }
@media (max-width: 899px) {
  main { padding: 24px 16px 56px; }
  section { margin-top: 40px; padding-top: 22px; }
  section > table, section > table tbody, section > table tr, section > table th,
  section > table td { display: block; width: 100%; border: 0; padding: 0; }
  section > table thead { display: none; }
  section > table tr { padding: 11px 0; border-bottom: 1px solid var(--line); }
  section > table th:first-child { width: 100%; }
  section > table tbody th { font-weight: 600; margin-bottom: 3px; }
  section > table td { display: grid; grid-template-columns: 6.4em 1fr; gap: 8px; padding: 2px 0;
    align-items: center; }
  section > table td:empty { display: none; }
  section > table td::before { content: attr(data-label); color: var(--soft); font-size: .84rem; }
  .est { flex-wrap: wrap; gap: 2px 10px; }
  .est > span { min-width: 0; }
  .bar { flex-basis: 100%; }
  .findings dl { grid-template-columns: 1fr; gap: 2px; }
  .findings dd { margin-bottom: 10px; }
  .findings { padding: 16px 18px 8px; }
  .chart { padding: 14px 12px; }
}
@media (max-width: 640px) { .strip { grid-template-columns: repeat(3, 1fr); } }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
"""
)
