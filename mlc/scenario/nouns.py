"""English nouns for the names of columns and tables, as far as simple rules go."""

import re

_KEY_ENDING = re.compile(r"[ _-]*(id|ID|Id|key|uuid)$")
_SHORT = {
    "dest": "destination",
    "dept": "department",
    "cat": "category",
    "prod": "product",
    "cust": "customer",
    "acct": "account",
    "txn": "transaction",
    "num": "number",
    "qty": "quantity",
    "amt": "amount",
    "tailnum": "aircraft",
}
"""Names that people shorten → the whole word."""


def noun(column: str) -> str:
    """Return what a column or table is named after.

    Examples:
        >>> noun("customer_id"), noun("articles.product_type"), noun("userId"), noun("id")
        ('customer', 'product type', 'user', 'entity')
        >>> noun("dest"), noun("cust_id")
        ('destination', 'customer')
    """
    name = _KEY_ENDING.sub("", column.rpartition(".")[2])
    words = name.replace("_", " ").split()
    return " ".join(_SHORT.get(word.lower(), word) for word in words) or "entity"


def plural(word: str) -> str:
    """Return the plural of a noun, as far as simple rules go.

    Examples:
        >>> plural("department"), plural("category"), plural("class"), plural("genres")
        ('departments', 'categories', 'classes', 'genres')
    """
    if re.search(r"(ss|x|ch|sh)$", word):
        return f"{word}es"
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return word if word.endswith("s") else f"{word}s"


def singular(word: str) -> str:
    """Return the singular of a noun, as far as simple rules go.

    Examples:
        >>> singular("comments"), singular("categories"), singular("classes"), singular("data")
        ('comment', 'category', 'class', 'data')
    """
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if re.search(r"(ss|x|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if re.search(r"[^s]s$", word) else word
