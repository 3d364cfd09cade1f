extension LookPage {
  /// The rules for the lanes over time, the cursor, and what is particular to this page.
  static let style = """
    .stack{--gutter:9.5rem;margin:0 0 1.5rem;padding:1.2rem 1.3rem .9rem;background:var(--card);\
    border:1px solid var(--rule);border-radius:10px}
    .lane{display:grid;grid-template-columns:var(--gutter) minmax(0,1fr);gap:0 1.1rem;margin:0 0 1rem}
    .lane p{margin:0}
    .gutter{display:flex;flex-direction:column;gap:.15rem;min-width:0;font-size:.82rem;line-height:1.35;\
    color:var(--muted);overflow-wrap:break-word}
    .gutter strong{color:var(--ink);font-size:.95rem;font-weight:600}
    .live{font:600 1.3rem/1.2 var(--serif);color:var(--accent);font-variant-numeric:lining-nums tabular-nums}
    .gutter select{max-width:100%;margin-top:.1rem;padding:.15rem .3rem;font:inherit;color:var(--ink);\
    background:var(--page);border:1px solid var(--rule);border-radius:6px}
    .plot{position:relative;min-width:0;touch-action:pan-y;cursor:crosshair}
    .plot canvas{display:block;width:100%;background:var(--page)}
    .over{display:block;width:100%;overflow:hidden}
    .mean{margin-top:2px;border-bottom:1px solid var(--rule)}
    .line{vector-effect:non-scaling-stroke;stroke-width:1.6px;stroke-linejoin:round}
    .level{position:absolute;left:0;right:0;height:0;border-top:1px solid var(--rule);pointer-events:none}
    .level b{position:absolute;top:-.36rem;left:0;padding-right:.35rem;background:var(--card);color:var(--muted);\
    font:400 .7rem/1 var(--sans)}
    .plot .over{position:relative;z-index:1}
    main p{text-wrap:pretty}
    h1{overflow-wrap:anywhere}
    .now{display:none;position:absolute;z-index:2;top:0;bottom:0;left:calc(var(--at)/var(--columns)*100%);\
    width:max(2px,calc(100%/var(--columns)));pointer-events:none;border:solid var(--ink);border-width:0 1px;\
    background:color-mix(in srgb,var(--ink) 7%,transparent)}
    .live .now,.live .band{display:block}
    .ticks{margin:-.4rem 0 .4rem}
    .ticks .gutter{font-size:.72rem;text-align:right}
    .ticks .plot{height:1.2rem;cursor:default}
    .ticks span{position:absolute;transform:translateX(-50%);font-size:.72rem;line-height:1.4;\
    color:var(--muted);white-space:nowrap}
    .ticks .end{transform:translateX(-85%)}
    .names .plot{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(0,1fr);height:auto;\
    max-height:7rem;justify-items:center;overflow:hidden}
    .names span{position:static;transform:none;writing-mode:vertical-rl;color:var(--ink);line-height:1.1}
    .aside{font-size:.82rem;color:var(--muted)}
    .stack>.aside{margin:.5rem 0 .2rem}
    .upright{position:relative;width:9.5rem;max-width:100%;cursor:crosshair}
    .upright svg{display:block;width:100%;height:9.5rem}
    .band{display:none;position:absolute;left:-3px;right:-3px;top:calc(var(--at)/var(--columns)*100%);\
    height:calc(100%/var(--columns));border:2px solid var(--warn);border-radius:3px;pointer-events:none}
    .picture .gutter p{margin-bottom:.3rem}.picture .plot{align-self:end}
    .picture canvas{height:9.5rem!important}
    .tokens{padding:1.2rem 1.4rem;font:1.12rem/1.9 var(--serif);white-space:pre-wrap;overflow-wrap:anywhere}
    .t{color:var(--ink);border-radius:3px;padding:.08em .05em;cursor:pointer}
    .tokens+.aside{margin:-.8rem 0 1.5rem;max-width:none}
    \(shades)
    .t.here{outline:2px solid var(--ink);outline-offset:1px}
    .written{position:absolute;left:.4rem;transform:translateY(-50%);font-size:.7rem;line-height:1;\
    color:var(--muted);pointer-events:none}
    .written em{font-style:normal}
    .profile .plot{border-bottom:1px solid var(--rule)}
    .profile .now{display:none}
    .key{list-style:none;margin:.4rem 0 0;padding:0;font-size:.8rem}
    main .key li{margin:.15rem 0;line-height:1.3}
    .key svg{margin-right:.4rem;vertical-align:middle}
    .event{position:absolute;z-index:1;top:-.35rem;width:.6rem;height:.6rem;margin-left:-.3rem;\
    border:1.5px solid var(--warn);border-radius:50%;background:var(--card);pointer-events:none}
    .real{background:var(--warn)}
    .answers{list-style:none;max-width:34rem;margin:0 0 1.5rem;padding:0;display:grid;gap:.35rem}
    .answers li{display:grid;grid-template-columns:minmax(3rem,9rem) minmax(0,1fr) 3.4rem 6rem;\
    gap:.8rem;align-items:center}
    .answers i{display:block;height:.8rem;background:var(--empty);border-radius:2px;overflow:hidden}
    .answers b{display:block;height:100%;background:var(--accent)}
    .answers span{overflow-wrap:anywhere}
    .answers li:first-child span:first-child{font:600 1.35rem/1.2 var(--serif)}
    .answers em{font-size:.82rem;font-style:normal;color:var(--muted)}
    .bounds td,.bounds th{padding-right:1.2rem}
    .bounds .remark{white-space:normal;min-width:14rem;color:var(--muted);font-size:.85rem;line-height:1.4}
    .bullet{position:relative;display:block;width:7rem;height:.55rem;background:var(--empty);border-radius:2px}
    .bullet i{position:absolute;top:0;bottom:0;min-width:3px;background:var(--accent);border-radius:2px}
    .bullet.broken i{background:var(--warn)}
    .verdict{padding:.05rem .6rem;border:1px solid var(--rule);border-radius:1rem;font-size:.8rem;\
    color:var(--muted)}
    .good{border-color:var(--accent);color:var(--accent)}
    .warn{border-color:var(--warn);color:var(--warn);font-weight:600}
    .legend{display:flex;align-items:center;gap:.6rem;margin:0 0 .35rem;font-size:.85rem;color:var(--muted)}
    .legend{white-space:nowrap}
    .legend svg{flex:0 1 9rem;min-width:3rem;height:.75rem}
    .legend b{flex:none;width:4.2rem;font-weight:400}
    .player{display:none;position:fixed;z-index:9;left:0;right:0;bottom:0;align-items:center;gap:.9rem;\
    padding:.55rem max(1.5rem,calc(50vw - 32.5rem));background:color-mix(in srgb,var(--card) 94%,transparent);\
    border-top:1px solid var(--rule);backdrop-filter:blur(6px)}
    .live .player{display:flex}
    html.live body{padding-bottom:6.5rem}
    .player button{flex:none;width:2.3rem;height:2.3rem;padding:0;font-size:.85rem;line-height:1;\
    color:var(--accent);background:none;border:1px solid var(--rule);border-radius:50%;cursor:pointer}
    .player input{flex:1 1 12rem;min-width:5rem;accent-color:var(--accent)}
    .player p{flex:1 1 24rem;min-width:0;max-width:none;margin:0;font-size:.85rem;line-height:1.35;\
    color:var(--muted);white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
    .player strong{color:var(--ink)}
    #values{margin-left:.6rem}
    #tip{position:fixed;z-index:10;max-width:min(24rem,calc(100vw - 8px));padding:.35rem .7rem;\
    font-size:.82rem;line-height:1.4;color:var(--page);background:var(--ink);border-radius:6px;\
    pointer-events:none;overflow-wrap:anywhere}
    #tip[hidden]{display:none}
    .unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
    @media screen and (max-width:46rem){.bounds,.bounds tbody{display:block}.bounds thead{display:none}\
    .bounds tr{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem 1rem;padding:.6rem 0;\
    border-bottom:1px solid var(--rule)}.bounds caption{display:block}\
    .bounds th,.bounds td{padding:0;border:0;white-space:normal}.bounds th,.bounds .remark{flex-basis:100%}\
    .bounds td:empty{display:none}.bounds td:nth-child(2)::before{content:"bound "}\
    .bounds td:nth-child(3)::before{content:"seen "}}
    @media (max-width:46rem){.written em{display:none}.names.many{display:none}.stack{padding:.9rem .8rem .6rem}.lane{grid-template-columns:minmax(0,1fr)}\
    .gutter{flex-direction:row;flex-wrap:wrap;align-items:baseline;gap:.1rem .6rem;margin-bottom:.3rem}\
    .gutter .live{margin-left:auto;font-size:1.05rem}.ticks .gutter{display:none}.upright{flex-basis:100%}\
    .upright{width:7rem;max-width:7rem}.upright svg,.picture canvas{height:7rem!important}.gutter .aside{flex-basis:100%}\
    .key{display:flex;flex-wrap:wrap;gap:0 .9rem;margin:0;flex-basis:100%}\
    .tokens{font-size:1.02rem;padding:.9rem 1rem}\
    .answers li{grid-template-columns:minmax(2.5rem,6.5rem) minmax(0,1fr) 3rem;gap:.5rem}\
    .answers em{grid-column:1/-1;margin-top:-.3rem}\
    .player{padding:.5rem .8rem;flex-wrap:wrap;gap:.2rem .7rem}.player p{flex-basis:100%;order:-1}}
    @media print{.player,.unseen,#tip,.now,.band{display:none!important}.lane{break-inside:avoid}\
    html.live body{padding-bottom:0}}

    """

  /// How a token is shaded: six strengths for the answer and six against it.
  private static let shades: String = (1...6).map { level in
    let share = level * 9
    return ".p\(level){background:color-mix(in srgb,var(--accent) \(share)%,transparent)}"
      + ".n\(level){background:color-mix(in srgb,var(--warn) \(share)%,transparent)}"
  }.joined()
}
