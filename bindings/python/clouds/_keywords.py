"""The options as keyword arguments, for type checkers only. Made from options.def by generate.py: do not edit."""
import os
from typing import Any, Callable, Optional, Union


class Live:
    """What can change while a node lives."""

    def configure(self, *, timeout: Optional[float] = None, deadline: Optional[float] = None,
                  retry: Optional[int] = None, server_max_age: Optional[float] = None,
                  auto_clean: Optional[bool] = None, weight: Optional[int] = None, breaker: Optional[bool] = None,
                  throttle: Optional[bool] = None, shun_silent: Optional[bool] = None,
                  find_server: Optional[Callable[..., Any]] = None, save_servers: Optional[Callable[..., Any]] = None,
                  remove_server: Optional[Callable[..., Any]] = None,
                  clear_servers: Optional[Callable[..., Any]] = None, cancel_events: Optional[bool] = None,
                  peer_events: Optional[bool] = None, drain_timeout: Optional[float] = None,
                  operation_timeout: Optional[float] = None) -> None: ...


class Waiting:
    """How nodes that wait are made."""

    def __init__(self, url: Optional[str] = None, *, workers: Optional[int] = None, prefix: Optional[str] = None,
                 password_file: Optional[Union[str, os.PathLike[str]]] = None, sentinel_user: Optional[str] = None,
                 sentinel_password: Optional[str] = None,
                 sentinel_password_file: Optional[Union[str, os.PathLike[str]]] = None,
                 ca_file: Optional[Union[str, os.PathLike[str]]] = None,
                 cert_file: Optional[Union[str, os.PathLike[str]]] = None,
                 cert_key_file: Optional[Union[str, os.PathLike[str]]] = None, server_name: Optional[str] = None,
                 verify: Optional[bool] = None, connect_timeout: Optional[float] = None,
                 hello_timeout: Optional[float] = None, ping_interval: Optional[float] = None,
                 ping_timeout: Optional[float] = None, reconnect_min: Optional[float] = None,
                 reconnect_max: Optional[float] = None, linger: Optional[float] = None,
                 max_deadline: Optional[float] = None, max_message: Optional[int] = None,
                 max_method: Optional[int] = None, max_depth: Optional[int] = None, max_values: Optional[int] = None,
                 max_in_flight: Optional[int] = None, max_in_flight_bytes: Optional[int] = None,
                 once_window: Optional[float] = None, once_keys: Optional[int] = None, once_bytes: Optional[int] = None,
                 max_links: Optional[int] = None, direct: Optional[bool] = None, listen: Optional[str] = None,
                 advertise: Optional[str] = None, key_file: Optional[Union[str, os.PathLike[str]]] = None,
                 insecure: Optional[bool] = None, link_ping: Optional[float] = None,
                 link_timeout: Optional[float] = None, link_idle: Optional[float] = None,
                 max_events: Optional[int] = None, max_event_bytes: Optional[int] = None,
                 write_soft: Optional[int] = None, write_hard: Optional[int] = None, resp_line: Optional[int] = None,
                 resp_buffered: Optional[int] = None, admin: Optional[str] = None, stats: Optional[bool] = None,
                 trace: Optional[str] = None, trace_ratio: Optional[float] = None, trace_service: Optional[str] = None,
                 log_level: Optional[str] = None, id: Optional[str] = None, type: Optional[str] = None,
                 heartbeat: Optional[float] = None, timeout: Optional[float] = None, deadline: Optional[float] = None,
                 retry: Optional[int] = None, server_max_age: Optional[float] = None, auto_clean: Optional[bool] = None,
                 balance: Optional[str] = None, weight: Optional[int] = None, tags: Optional[str] = None,
                 prefer: Optional[str] = None, breaker: Optional[bool] = None, throttle: Optional[bool] = None,
                 shun_silent: Optional[bool] = None, find_server: Optional[Callable[..., Any]] = None,
                 save_servers: Optional[Callable[..., Any]] = None, remove_server: Optional[Callable[..., Any]] = None,
                 clear_servers: Optional[Callable[..., Any]] = None, cancel_events: Optional[bool] = None,
                 peer_events: Optional[bool] = None, drain_timeout: Optional[float] = None,
                 operation_timeout: Optional[float] = None) -> None: ...


class Awaited:
    """How nodes of asyncio are made."""

    def __init__(self, url: Optional[str] = None, *, prefix: Optional[str] = None,
                 password_file: Optional[Union[str, os.PathLike[str]]] = None, sentinel_user: Optional[str] = None,
                 sentinel_password: Optional[str] = None,
                 sentinel_password_file: Optional[Union[str, os.PathLike[str]]] = None,
                 ca_file: Optional[Union[str, os.PathLike[str]]] = None,
                 cert_file: Optional[Union[str, os.PathLike[str]]] = None,
                 cert_key_file: Optional[Union[str, os.PathLike[str]]] = None, server_name: Optional[str] = None,
                 verify: Optional[bool] = None, connect_timeout: Optional[float] = None,
                 hello_timeout: Optional[float] = None, ping_interval: Optional[float] = None,
                 ping_timeout: Optional[float] = None, reconnect_min: Optional[float] = None,
                 reconnect_max: Optional[float] = None, linger: Optional[float] = None,
                 max_deadline: Optional[float] = None, max_message: Optional[int] = None,
                 max_method: Optional[int] = None, max_depth: Optional[int] = None, max_values: Optional[int] = None,
                 max_in_flight: Optional[int] = None, max_in_flight_bytes: Optional[int] = None,
                 once_window: Optional[float] = None, once_keys: Optional[int] = None, once_bytes: Optional[int] = None,
                 max_links: Optional[int] = None, direct: Optional[bool] = None, listen: Optional[str] = None,
                 advertise: Optional[str] = None, key_file: Optional[Union[str, os.PathLike[str]]] = None,
                 insecure: Optional[bool] = None, link_ping: Optional[float] = None,
                 link_timeout: Optional[float] = None, link_idle: Optional[float] = None,
                 max_events: Optional[int] = None, max_event_bytes: Optional[int] = None,
                 write_soft: Optional[int] = None, write_hard: Optional[int] = None, resp_line: Optional[int] = None,
                 resp_buffered: Optional[int] = None, admin: Optional[str] = None, stats: Optional[bool] = None,
                 trace: Optional[str] = None, trace_ratio: Optional[float] = None, trace_service: Optional[str] = None,
                 log_level: Optional[str] = None, id: Optional[str] = None, type: Optional[str] = None,
                 heartbeat: Optional[float] = None, timeout: Optional[float] = None, deadline: Optional[float] = None,
                 retry: Optional[int] = None, server_max_age: Optional[float] = None, auto_clean: Optional[bool] = None,
                 balance: Optional[str] = None, weight: Optional[int] = None, tags: Optional[str] = None,
                 prefer: Optional[str] = None, breaker: Optional[bool] = None, throttle: Optional[bool] = None,
                 shun_silent: Optional[bool] = None, find_server: Optional[Callable[..., Any]] = None,
                 save_servers: Optional[Callable[..., Any]] = None, remove_server: Optional[Callable[..., Any]] = None,
                 clear_servers: Optional[Callable[..., Any]] = None, cancel_events: Optional[bool] = None,
                 peer_events: Optional[bool] = None, drain_timeout: Optional[float] = None,
                 operation_timeout: Optional[float] = None) -> None: ...
