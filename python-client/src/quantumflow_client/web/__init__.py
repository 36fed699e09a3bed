"""What goes on, in a browser: `quantumflow web`. It needs the extra `web`.

`app` puts it together, `gate` says who may come in, `database` carries calls out, `pages` shows,
`acts` steers, `live` tells what changes. It has no rule of the engine and no SQL but calls.
"""
