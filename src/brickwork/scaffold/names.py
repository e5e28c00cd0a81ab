"""The names of a resource, derived from its model."""

from dataclasses import dataclass

from brickwork.operations.naming import split_words, with_article


@dataclass(frozen=True)
class Names:
    """The names of a resource, derived from those of its model."""

    model: str
    plural: str
    """The name of the package and the table: `order_lines`."""

    @property
    def noun(self) -> str:
        """Return `order line` for `OrderLine`."""
        return " ".join(split_words(self.model))

    @property
    def row(self) -> str:
        """Return `an order line`."""
        return with_article(split_words(self.model))

    @property
    def rows(self) -> str:
        """Return `order lines`."""
        return self.plural.replace("_", " ")

    @property
    def variable(self) -> str:
        """Return `order_line`."""
        return self.noun.replace(" ", "_").lower()

    @property
    def path(self) -> str:
        """Return `order-lines`."""
        return self.plural.replace("_", "-")

    @property
    def resource(self) -> str:
        """Return `OrderLines`."""
        return "".join(part[:1].upper() + part[1:] for part in self.plural.split("_"))


def pluralize(model: str) -> str:
    """Return `order_lines` for `OrderLine`."""
    import inflect  # noqa: PLC0415 — an extra

    *first, last = (word.lower() for word in split_words(model))
    plural = inflect.engine().plural_noun(last)
    return "_".join([*first, str(plural).lower()])


def singular_of(model: str) -> str | None:
    """Return the singular of a *model* that is named in the plural. None if it is not."""
    import inflect  # noqa: PLC0415 — an extra

    *_, last = split_words(model)
    word, engine = last.lower(), inflect.engine()
    singular = str(engine.singular_noun(word) or word)
    is_plural = singular != word and str(engine.plural_noun(singular)) == word
    return model[: -len(last)] + singular.capitalize() if is_plural else None
