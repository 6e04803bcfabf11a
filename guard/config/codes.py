"""Every way that configuration can be wrong, by a stable code.

The codes, the rows of docs/configuration-errors.md and the fixtures of tests/config/rejected are
the same set; a test holds them to it. A code, once published, keeps its meaning.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What is wrong, as machines read it. The value is what people see in brackets."""

    # Reading: exit status 2 of `guard check`.
    PATH_UNREADABLE = "path-unreadable"
    NO_FILES = "no-files"
    # The text as YAML.
    YAML_INVALID = "yaml-invalid"
    KEY_DUPLICATE = "key-duplicate"
    DOCUMENT_INVALID = "document-invalid"
    # Keys and types.
    API_VERSION_UNKNOWN = "api-version-unknown"
    KEY_UNKNOWN = "key-unknown"
    KEY_MISSING = "key-missing"
    TYPE_WRONG = "type-wrong"
    VALUE_UNKNOWN = "value-unknown"
    KIND_COUNT = "kind-count"
    LIST_EMPTY = "list-empty"
    PLATFORM_UNSUPPORTED = "platform-unsupported"
    # Names and places.
    NAME_INVALID = "name-invalid"
    LABEL_INVALID = "label-invalid"
    PORT_INVALID = "port-invalid"
    URL_PATH_INVALID = "url-path-invalid"
    FILE_PATH_INVALID = "file-path-invalid"
    # Quantities.
    DURATION_INVALID = "duration-invalid"
    DURATION_OUT_OF_RANGE = "duration-out-of-range"
    RATIO_INVALID = "ratio-invalid"
    RATIO_OUT_OF_RANGE = "ratio-out-of-range"
    TARGET_INVALID = "target-invalid"
    TARGET_OUT_OF_RANGE = "target-out-of-range"
    NUMBER_INVALID = "number-invalid"
    NUMBER_OUT_OF_RANGE = "number-out-of-range"
    # PromQL.
    SELECTOR_INVALID = "selector-invalid"
    SELECTOR_NOT_BARE = "selector-not-bare"
    SELECTOR_WITHOUT_METRIC = "selector-without-metric"
    SELECTORS_EQUAL = "selectors-equal"
    SELECTOR_NOT_SUBSET = "selector-not-subset"
    MATCHERS_INVALID = "matchers-invalid"
    HISTOGRAM_INVALID = "histogram-invalid"
    REGEX_UNSUPPORTED = "regex-unsupported"
    PROMQL_INVALID = "promql-invalid"
    PROMQL_WITHOUT_SELECTOR = "promql-without-selector"
    PLACEHOLDER_MISUSED = "placeholder-misused"
    BOUND_MISSING = "bound-missing"
    BOUND_TWICE = "bound-twice"
    # What does not go together.
    DEADLINE_BEFORE_BAKE = "deadline-before-bake"
    PACE_ORDER = "pace-order"
    OBJECTIVE_UNKNOWN = "objective-unknown"
    DEPENDENCY_UNKNOWN = "dependency-unknown"
    DEPENDENCY_ITSELF = "dependency-itself"
    OBJECTIVE_UNSUITED = "objective-unsuited"
    SCOPE_UNSUPPORTED = "scope-unsupported"
    NAME_DUPLICATE = "name-duplicate"
    SERVICE_DUPLICATE = "service-duplicate"
    WORKLOAD_DUPLICATE = "workload-duplicate"
    # Settings, from the environment.
    SETTING_UNKNOWN = "setting-unknown"
    SETTING_INVALID = "setting-invalid"
    SETTING_CONFLICT = "setting-conflict"
    SETTING_INCOMPLETE = "setting-incomplete"
    SETTING_FILE_UNREADABLE = "setting-file-unreadable"


UNREADABLE = frozenset({Code.PATH_UNREADABLE, Code.NO_FILES})
