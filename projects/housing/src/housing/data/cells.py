"""What a cell of a file means: one reading for training data and for files of houses to price."""

from collections.abc import Mapping

from housing.data.columns import NONE, columns

SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "ms_zoning": {"A (agr)": "A", "C (all)": "C", "I (all)": "I"},
    "neighborhood": {"Names": "NAmes"},
    "bldg_type": {"2FmCon": "2fmCon", "Duplx": "Duplex", "TwnhsI": "Twnhs"},
    "exterior_2nd": {"CmentBd": "CemntBd", "Wd Shng": "WdShing", "Brk Cmn": "BrkComm"},
}
"""Codes that the file spells differently from its own documentation or from its sister column."""


def meaning(name: str, cell: str) -> str | None:
    """Return what a cell of column `name` says, as text; None if it is unknown.

    "NA" is "has none" where the documentation lists it as a level; elsewhere it and the empty cell are unknown. The
    veneer spells "has none" as None, so its NA is unknown.

    Examples
    --------
    >>> meaning("alley", "NA"), meaning("electrical", "NA"), meaning("mas_vnr_type", "NA"), meaning("lot_area", "")
    ('None', None, None, None)
    >>> meaning("ms_subclass", "20"), meaning("exterior_2nd", "CmentBd"), meaning("lot_area", " 8450 ")
    ('020', 'CemntBd', '8450')
    """
    text = cell.strip()
    if text == "NA" and NONE in columns()[name].choices and name != "mas_vnr_type":
        return NONE
    if text in ("", "NA"):
        return None
    if name == "ms_subclass":
        return text.zfill(3)  # "20" and "020" are one code
    return SPELLINGS.get(name, {}).get(text, text)
