"""How a report looks.

Covers: one style sheet, for light and dark, screen and paper. Does not cover: what is in the page.
"""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1c1e21; --soft: #5c6470; --line: #e1e4e9;
  --win: #0b7a5c; --win-back: #e3f4ee; --lose: #b3411b; --lose-back: #fbeae3; --accent: #3f7fc1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1d2026; --ink: #e6e8eb; --soft: #9aa3af; --line: #30353d;
    --win: #58cfa8; --win-back: #16352c; --lose: #f0936b; --lose-back: #3d241a; --accent: #77aee6;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; margin: 0 0 .2rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .1rem; }
h3 code { font-weight: 600; } h3 span { font-weight: 400; margin-left: .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
.lead { color: var(--soft); font-size: 1.05rem; margin-top: 0; }
ul.prose { margin: .4rem 0; padding-left: 1.2rem; max-width: 46rem; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.4rem 1.5rem; margin-top: 1.5rem; }
nav { display: flex; flex-wrap: wrap; gap: .4rem .9rem; margin-top: 1.2rem; font-size: .9rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
  gap: .7rem 1.5rem; margin: 1rem 0 0; }
dl.facts div { min-width: 0; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.split { display: grid; grid-template-columns: repeat(auto-fit, minmax(21rem, 1fr)); gap: 1.5rem; }
.split section { margin-top: 1.5rem; min-width: 0; }
.win h2 { color: var(--win); } .lose h2 { color: var(--lose); }
.count { font-size: 2.4rem; font-weight: 650; line-height: 1; margin-right: .5rem; }
ul.claims { list-style: none; margin: .8rem 0 0; padding: 0; }
ul.claims li { display: grid; grid-template-columns: 8.6rem 1fr; gap: .8rem;
  padding: .45rem 0; border-top: 1px solid var(--line); }
ul.claims b { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.win b { color: var(--win); } .lose b { color: var(--lose); }
.scroll { overflow-x: auto; margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { padding: .28rem .65rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; border-top: 0; }
th.text, td.text { text-align: left; }
tr.figure td { padding-top: .9rem; }
tr.next td { border-top: 0; }
td.better { color: var(--win); background: var(--win-back); font-weight: 600; }
td.worse { color: var(--lose); background: var(--lose-back); font-weight: 600; }
.chart { margin: .3rem 0 0; }
.chart svg { width: 100%; max-width: 60rem; height: auto; display: block; }
.chart text { font-family: inherit; }
details { margin-top: .9rem; }
summary { cursor: pointer; color: var(--accent); font-size: .9rem; }
.missing { border-left: 3px solid var(--line); padding-left: .9rem; margin-top: 1.2rem; }
.missing ul { margin: .3rem 0 0; padding-left: 1.1rem; }
@media print {
  body { background: none; } section { border: 0; padding: 0; break-inside: avoid-page; }
  nav { display: none; }
}
"""
