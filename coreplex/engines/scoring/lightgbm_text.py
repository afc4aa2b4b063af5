"""Changes of a LightGBM model in its text."""

import re


def rescaled(text: str, slope: float, offset: float) -> str:
    """The model text with every leaf value v as slope * v + offset, no longer an average."""
    text = re.sub(r"^average_output\n", "", text, flags=re.MULTILINE)
    # The sizes of the trees in bytes change; without the line LightGBM reads the trees one after the other.
    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)

    def change(line: re.Match[str]) -> str:
        values = (float(v) * slope + offset for v in line.group(1).split())
        return "leaf_value=" + " ".join(f"{v:.17g}" for v in values)

    return re.sub(r"^leaf_value=(.*)$", change, text, flags=re.MULTILINE)
