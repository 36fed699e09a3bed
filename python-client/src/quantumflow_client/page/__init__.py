"""A run as a page: one HTML file that needs nothing else, of what the database's functions say.

`facts` asks them, `scale`, `timeline` and `graph` say where things go, `render` writes. What is
drawn in a browser by `quantumflow web` is drawn by this, too, and so is the demo's page. It needs
jinja2: the extra `web` or `demo`.
"""
