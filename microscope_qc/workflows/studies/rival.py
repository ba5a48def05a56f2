"""What is compared with each other: networks, each with settings of its training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from microscope_qc.core.errors import InputError
from microscope_qc.exchange.pictures import file_name_of
from microscope_qc.ml.architectures.recipe import TrainSettings

START = "start"
_LONGEST_NAME = 80
_OWN = {"network", "network_settings", "device", "minutes"}
"""Fields that a candidate has otherwise, or that all candidates share."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A network, and in what its training differs from that of the others.

    Attributes
    ----------
    settings
        Fields of :class:`TrainSettings`, ``start`` (a model whose weights it starts from), and settings of the network,
        such as its backbone.
    """

    network: str
    settings: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of_text(cls, text: str) -> Rival:
        """Read ``NETWORK`` or ``NETWORK:NAME=VALUE,NAME=VALUE``.

        Raises
        ------
        InputError
            When it is not written so.
        """
        network, _, rest = text.strip().partition(":")
        settings: dict[str, JsonValue] = {}
        for part in filter(None, rest.split(",")):
            name, sign, value = part.partition("=")
            if not (name.strip() and sign) or name.strip() in settings:
                raise InputError(f"{part!r} of {text!r} is not a setting.", hint="Write NETWORK:NAME=VALUE,NAME=VALUE.")
            settings[name.strip()] = _value(value.strip())
        if not network:
            raise InputError(f"{text!r} names no network.", hint="Write NETWORK or NETWORK:NAME=VALUE.")
        return cls(network, settings)

    @property
    def words(self) -> str:
        """Its settings: ``backbone=random, batch=4``."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())

    @property
    def name(self) -> str:
        """What it is called, also as a folder."""
        said = " ".join([self.network, *(f"{name}={value}" for name, value in self.settings.items())])
        name = file_name_of(said).replace(".", "_")  # what follows a point would be taken for the kind of file
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def with_settings(self, **settings: JsonValue) -> Rival:
        """The same with further settings."""
        return Rival(self.network, {**self.settings, **settings})

    def asked(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of :func:`microscope_qc.workflows.learning.train.train`.

        Parameters
        ----------
        common
            Settings that all candidates share where they have none of their own.

        Raises
        ------
        InputError
            When a setting is not its own.
        """
        asked: dict[str, Any] = {"network": self.network, **common}
        of_network: dict[str, Any] = {}
        for name, value in self.settings.items():
            if name in _OWN:
                raise InputError(f"{name} is not a setting of one network.", hint="It is the same for all.")
            if name == START or name in TrainSettings.model_fields:
                asked[name] = value
            else:
                of_network[name] = value
        if of_network:
            asked["network_settings"] = of_network
        return asked


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
