"""How the pages that mails lead to look."""

STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:15vh auto 0;padding:0 1rem}
label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}
input,button{margin:.4rem 0 1rem;padding:.5rem}
input[type=checkbox]{display:inline;width:auto;margin-right:.5em}output{display:block;min-height:3em}
"""
