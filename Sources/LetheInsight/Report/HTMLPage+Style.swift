extension HTMLPage {
  /// The style sheet of the page, without the rules of its charts.
  static let style = """
    :root{color-scheme:light dark;--page:#f7f4ec;--card:#fffefb;--ink:#1d2730;--muted:#586670;\
    --rule:#e0dbcf;--accent:#125f8c;--warn:#b04d0c;--empty:#ece7da;\
    --serif:"Iowan Old Style","Palatino Linotype",Palatino,"URW Palladio L",P052,Georgia,serif;\
    --sans:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Helvetica Neue",Arial,sans-serif}
    @media screen and (prefers-color-scheme:dark){:root{--page:#10171c;--card:#182127;--ink:#e7ebec;\
    --muted:#a3b0b7;--rule:#2e3a42;--accent:#6fbbe0;--warn:#f0a05c;--empty:#26323a}}
    *{box-sizing:border-box}
    html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
    @media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
    body{margin:0 auto;padding:0 1.5rem 4rem;max-width:68rem;background:var(--page);color:var(--ink);\
    font:1rem/1.6 var(--sans);font-variant-numeric:tabular-nums}
    header{padding:2.5rem 0 0}
    .mark{display:flex;align-items:center;gap:.7rem;margin:0;color:var(--accent);\
    font:600 .8rem/1 var(--sans);letter-spacing:.22em;text-transform:uppercase}
    h1{max-width:22em;margin:1.4rem 0 .6rem;font:600 2.5rem/1.15 var(--serif);letter-spacing:-.01em;\
    text-wrap:balance}
    h2{margin:0 0 1rem;font:600 1.65rem/1.25 var(--serif)}
    h3{margin:2.25rem 0 .5rem;font:600 1.15rem/1.35 var(--serif)}
    p,main ul{max-width:42rem;margin:0 0 1rem}
    main ul{padding-left:1.2rem}
    main li{margin:.4rem 0}
    .lead{font-size:1.15rem;line-height:1.5;color:var(--muted);text-wrap:pretty}
    .lines{list-style:none;margin:0;padding:0;color:var(--muted);font-size:.9rem}
    nav{display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;margin-top:1.6rem;padding:.8rem 0;\
    border:solid var(--rule);border-width:1px 0;font-size:.95rem}
    a{color:var(--accent);text-underline-offset:.2em}
    nav a{text-decoration:none}
    nav a:hover{text-decoration:underline}
    :focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:2px}
    .skip{position:absolute;left:-100rem;padding:.5rem 1rem;background:var(--card)}
    .skip:focus{left:1rem;top:.5rem}
    section{padding-top:3rem}
    code{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
    var{font-family:var(--serif)}
    sub{font-size:.72em;line-height:0}
    .equation{margin:1.25rem 0;padding:.7rem 1.4rem .8rem;width:fit-content;max-width:100%;\
    background:var(--card);border:1px solid var(--rule);border-radius:10px;overflow-x:auto;white-space:pre;\
    font:1.25rem/1.4 var(--serif)}
    .note{padding:.15rem 0 .15rem 1rem;border-left:3px solid var(--accent)}
    .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:1rem;margin:0 0 1.5rem}
    .tiles>div{padding:1rem 1.2rem 1.1rem;background:var(--card);border:1px solid var(--rule);\
    border-radius:10px}
    .tiles dt{color:var(--muted);font-size:.85rem}
    .tiles dd{margin:0}
    .tiles .value{font:600 2.1rem/1.25 var(--serif);font-variant-numeric:lining-nums tabular-nums}
    .aside{color:var(--muted);font-size:.85rem;line-height:1.4}
    .scroll{overflow-x:auto;margin:0 0 1.5rem}
    table{border-collapse:collapse;min-width:min(100%,30rem);font-size:.95rem}
    caption{padding-bottom:.4rem;text-align:left;color:var(--muted);font-size:.85rem}
    th,td{padding:.45rem 1.5rem .45rem 0;text-align:left;border-bottom:1px solid var(--rule);\
    white-space:nowrap}
    th{font-weight:600}
    thead th{color:var(--muted);font-weight:500;font-size:.85rem}
    .number{text-align:right}
    figure{margin:0}
    figcaption{margin-top:.6rem;color:var(--muted);font-size:.875rem;line-height:1.5}
    figcaption strong{color:var(--ink);font-weight:600}
    .figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));\
    gap:1.25rem;margin:0 0 1.5rem}
    .figures figure,.card{padding:1.1rem 1.2rem;background:var(--card);border:1px solid var(--rule);\
    border-radius:10px}
    .figures svg{display:block;width:100%;max-width:30rem;height:auto}
    @media screen and (min-width:62rem){.figures figure:last-child:nth-child(2n+3){grid-column:1/-1;\
    display:grid;grid-template-columns:30rem minmax(0,1fr);align-items:center;gap:2rem}}
    details{margin:0 0 1.5rem}
    summary{cursor:pointer;color:var(--accent);margin-bottom:.6rem}
    footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--rule);color:var(--muted);\
    font-size:.875rem}
    @media (max-width:36rem){body{padding:0 1rem 3rem}header{padding-top:1.5rem}h1{font-size:1.9rem}\
    h2{font-size:1.4rem}section{padding-top:2.25rem}.tiles{grid-template-columns:1fr 1fr;gap:.6rem}\
    .tiles>div{padding:.7rem .8rem}.tiles .value{font-size:1.6rem}.figures figure,.card{padding:.8rem}\
    th,td{padding-right:1rem}.figures svg{font-size:15.5px;overflow:visible}}
    @media print{html{font-size:80%}body{max-width:none;padding:0;background:none}nav,.skip{display:none}\
    .figures{grid-template-columns:1fr 1fr}\
    figure,.tiles>div,.card,.scroll{break-inside:avoid}h2,h3{break-after:avoid}\
    *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}

    """
}
