"""The C ABI for ctypes. Made from clouds.h by generate.py: do not edit."""
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t
from ctypes import c_uint32, c_uint64, c_void_p
from typing import Any, Dict, Tuple

VERSION = "0.3.0"
VERSION_NUMBER = 3000

CLOUDS_OUTCOME_OK = 0
CLOUDS_OUTCOME_APP_ERROR = 1
CLOUDS_OUTCOME_NOT_DONE = 2
CLOUDS_OUTCOME_UNKNOWN = 3
CLOUDS_EINVAL = -1
CLOUDS_ENOMEM = -2
CLOUDS_ECLOSED = -3
CLOUDS_ESTALE = -4
CLOUDS_EHANDLE = -5
CLOUDS_ETHREAD = -6
CLOUDS_EBUSY = -7
CLOUDS_EFORK = -8
CLOUDS_ELIMIT = -9
CLOUDS_ETOOBIG = -10
CLOUDS_EJSON = -11
CLOUDS_EURL = -12
CLOUDS_EOPTION = -13
CLOUDS_ETIMEOUT = -14
CLOUDS_ENOSERVER = -15
CLOUDS_EAPP = -16
CLOUDS_ENOMETHOD = -17
CLOUDS_EEXPIRED = -18
CLOUDS_EUNREACHABLE = -19
CLOUDS_ELOST = -20
CLOUDS_ECANCELED = -21
CLOUDS_EOVERLOAD = -22
CLOUDS_EDRAINING = -23
CLOUDS_EREDIS = -24
CLOUDS_EAUTH = -25
CLOUDS_EPROTO = -26
CLOUDS_ESYSTEM = -27
CLOUDS_ENOTSUP = -28
CLOUDS_EEXIST = -29
CLOUDS_EKEY = -30
CLOUDS_EBADARG = -31
CLOUDS_OK = 0
CLOUDS_RETRY_NO = 0
CLOUDS_RETRY_NOW = 1
CLOUDS_RETRY_LATER = 2
CLOUDS_EXIT_OK = 0
CLOUDS_EXIT_ERROR = 1
CLOUDS_EXIT_USAGE = 2
CLOUDS_EXIT_UNREACHABLE = 3
CLOUDS_EXIT_UNKNOWN = 4
CLOUDS_LOG_DEBUG = 0
CLOUDS_LOG_INFO = 1
CLOUDS_LOG_WARN = 2
CLOUDS_LOG_ERROR = 3
CLOUDS_LONGEST_SECONDS = 2147483
CLOUDS_OPTION_LIVE = 1
CLOUDS_OPTION_CLAMPED = 2
CLOUDS_OPERATION_WAIT = 1
CLOUDS_EVENT_READY = 1
CLOUDS_EVENT_RESULT = 2
CLOUDS_EVENT_REQUEST = 3
CLOUDS_EVENT_MESSAGE = 4
CLOUDS_EVENT_UNKNOWN = 5
CLOUDS_EVENT_REGISTERED = 6
CLOUDS_EVENT_UNREGISTERED = 7
CLOUDS_EVENT_SENT = 8
CLOUDS_EVENT_STATUS = 9
CLOUDS_EVENT_NODE_CLOSED = 10
CLOUDS_EVENT_CONTEXT_CLOSED = 11
CLOUDS_EVENT_BUS_UP = 12
CLOUDS_EVENT_BUS_DOWN = 13
CLOUDS_EVENT_FIND_SERVER = 14
CLOUDS_EVENT_SAVE_SERVERS = 15
CLOUDS_EVENT_REMOVE_SERVER = 16
CLOUDS_EVENT_CLEAR_SERVERS = 17
CLOUDS_EVENT_ATTEMPT = 18
CLOUDS_EVENT_LOG = 19
CLOUDS_EVENT_CANCELED = 20
CLOUDS_EVENT_SUBSCRIBED = 21
CLOUDS_EVENT_UNSUBSCRIBED = 22
CLOUDS_EVENT_PUBLISHED = 23
CLOUDS_EVENT_PAUSED = 24
CLOUDS_EVENT_PEER = 25
CLOUDS_EVENT_STOP = 26
CLOUDS_PEER_WELL = 0
CLOUDS_PEER_AVOIDED = 1
CLOUDS_PEER_OPEN = 2
CLOUDS_PEER_PROBING = 3
CLOUDS_PEER_PAUSED = 4
CLOUDS_PEER_DRAINING = 5
CLOUDS_PEER_GONE = 6
CLOUDS_FLAG_BYTES = 1
CLOUDS_FLAG_NOTIFY = 2
CLOUDS_FLAG_LAGGED = 4
CLOUDS_OFFER_SERIAL = 1
CLOUDS_CALL_WAIT = 1
CLOUDS_CALL_ASK = 2
CLOUDS_CALL_NOTIFY = 4
CLOUDS_CALL_IDEMPOTENT = 8
CLOUDS_SPAN_INTERNAL = 1
CLOUDS_SPAN_PRODUCER = 4
CLOUDS_SPAN_CONSUMER = 5
CLOUDS_SPAN_MORE = 192
CLOUDS_SEND_CONFIRM = 1
CLOUDS_SUBSCRIBE_ALL = 1
CLOUDS_SUBSCRIBE_DROP_NEWEST = 2
CLOUDS_SUBSCRIBE_TOPICS = 64
CLOUDS_SUBSCRIBE_QUEUE = 1024
CLOUDS_SUBSCRIBE_BYTES = 8388608
CLOUDS_WORKER_DRAIN = 1
CLOUDS_WORKER_QUIET = 2
CLOUDS_WORKER_ASK = 3
CLOUDS_WORKER_MESSAGE = 4
CLOUDS_WORKER_CONNECTION = 5
CLOUDS_WORKER_LISTENER = 6
CLOUDS_WORKER_TURN = 7
CLOUDS_WORKER_CONNECTION_BACK = 1
CLOUDS_WORKER_READY = 1
CLOUDS_WORKER_STOPPING = 2
CLOUDS_WORKER_ALIVE = 3
CLOUDS_WORKER_RETIRE = 4
CLOUDS_WORKER_RELOAD = 5
CLOUDS_WORKER_VARIABLES = 6
CLOUDS_WORKER_WANT_TURN = 7
CLOUDS_WORKER_END_TURN = 8
CLOUDS_WORKER_ACCEPTS = 9
CLOUDS_WORKER_TAKE_CONNECTIONS = 1
CLOUDS_WORKER_TAKE_LISTENERS = 2
CLOUDS_WORKER_TAKE_ACCEPTING = 3
CLOUDS_WORKER_COUNT_CONNECTIONS = 1
CLOUDS_WORKER_COUNT_REQUESTS = 2
CLOUDS_WORKER_COUNT_IN_FLIGHT = 3
CLOUDS_WORKER_COUNT_ERRORS = 4
CLOUDS_WORKER_COUNT_REMAIN = 5

OUTCOMES = ("OK", "APP_ERROR", "NOT_DONE", "UNKNOWN")

class clouds_layout_info(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("record_size", c_uint32),
        ("offset", c_uint32),
        ("length", c_uint32),
        ("record", c_char_p),
        ("member", c_char_p),
        ("kind", c_char_p),
    ]


clouds_log_fn = CFUNCTYPE(None, c_void_p, c_int, c_char_p)


clouds_realloc_fn = CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_size_t)


class clouds_option_info(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("minimum", c_double),
        ("maximum", c_double),
        ("name", c_char_p),
        ("type", c_char_p),
        ("scope", c_char_p),
        ("unit", c_char_p),
        ("default_value", c_char_p),
        ("help", c_char_p),
    ]


class clouds_operation_options(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("timeout", c_double),
        ("user_data", c_uint64),
        ("error", c_void_p),
        ("error_size", c_size_t),
    ]


class clouds_event(Structure):
    _fields_ = [
        ("type", c_uint32),
        ("code", c_int32),
        ("outcome", c_uint32),
        ("flags", c_uint32),
        ("id", c_uint64),
        ("user_data", c_uint64),
        ("number", c_int64),
        ("time_left", c_double),
        ("sequence", c_uint64),
        ("node", c_void_p),
        ("owned", c_void_p),
        ("peer", c_char_p),
        ("peer_len", c_size_t),
        ("method", c_char_p),
        ("method_len", c_size_t),
        ("data", c_char_p),
        ("data_len", c_size_t),
        ("error", c_char_p),
        ("error_len", c_size_t),
        ("meta", c_char_p),
        ("meta_len", c_size_t),
        ("bytes", c_char_p),
        ("bytes_len", c_size_t),
    ]


class clouds_offer_options(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("concurrency", c_int32),
        ("key_arg", c_uint32),
        ("queue", c_int32),
        ("reserved", c_uint32),
        ("queue_age", c_double),
        ("queue_target", c_double),
        ("rate", c_double),
        ("burst", c_double),
        ("caller_rate", c_double),
        ("caller_burst", c_double),
        ("schema", c_char_p),
        ("schema_len", c_size_t),
    ]


class clouds_call_options(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("retries", c_int32),
        ("reserved", c_uint32),
        ("timeout", c_double),
        ("deadline", c_double),
        ("hedge", c_double),
        ("parent", c_uint64),
        ("user_data", c_uint64),
        ("server", c_char_p),
        ("server_len", c_size_t),
        ("meta", c_char_p),
        ("meta_len", c_size_t),
        ("bytes", c_char_p),
        ("bytes_len", c_size_t),
        ("key", c_char_p),
        ("key_len", c_size_t),
        ("once", c_char_p),
        ("once_len", c_size_t),
        ("reply_to", c_char_p),
        ("reply_to_len", c_size_t),
        ("correlation", c_char_p),
        ("correlation_len", c_size_t),
        ("error", c_void_p),
        ("error_size", c_size_t),
        ("trace", c_char_p),
        ("trace_len", c_size_t),
    ]


class clouds_payload(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("json", c_char_p),
        ("json_len", c_size_t),
        ("bytes", c_char_p),
        ("bytes_len", c_size_t),
        ("meta", c_char_p),
        ("meta_len", c_size_t),
        ("trace", c_char_p),
        ("trace_len", c_size_t),
    ]


class clouds_subscribe_options(Structure):
    _fields_ = [
        ("size", c_uint32),
        ("flags", c_uint32),
        ("queue", c_uint32),
        ("reserved", c_uint32),
        ("queue_bytes", c_double),
        ("user_data", c_uint64),
        ("group", c_char_p),
        ("group_len", c_size_t),
    ]


class clouds_worker_event(Structure):
    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("number", c_int64),
        ("seconds", c_double),
        ("group", c_char_p),
        ("group_len", c_size_t),
        ("data", c_char_p),
        ("data_len", c_size_t),
        ("fd", c_int32),
        ("watch_fd", c_int32),
    ]


RECORDS: Tuple[Any, ...] = (
    clouds_layout_info,
    clouds_option_info,
    clouds_operation_options,
    clouds_event,
    clouds_offer_options,
    clouds_call_options,
    clouds_payload,
    clouds_subscribe_options,
    clouds_worker_event,
)

# Name: type of the result, types of the arguments.
FUNCTIONS: Dict[str, Tuple[Any, ...]] = {
        "clouds_version": (c_char_p,),
        "clouds_version_number": (c_uint32,),
        "clouds_layout": (c_int, c_uint32, POINTER(clouds_layout_info),),
        "clouds_has_feature": (c_int, c_char_p,),
        "clouds_strerror": (c_char_p, c_int,),
        "clouds_err_name": (c_char_p, c_int,),
        "clouds_err_outcome": (c_int, c_int,),
        "clouds_error_at": (c_int, c_uint32,),
        "clouds_outcome_name": (c_char_p, c_int,),
        "clouds_retry_rule": (c_int, c_int,),
        "clouds_exit_code": (c_int, c_int, c_int,),
        "clouds_last_error": (c_char_p,),
        "clouds_last_error_json": (c_char_p,),
        "clouds_set_log": (c_int, clouds_log_fn, c_void_p, c_int,),
        "clouds_set_allocator": (c_int, clouds_realloc_fn, c_void_p,),
        "clouds_options_create": (c_int, POINTER(c_void_p),),
        "clouds_options_destroy": (None, c_void_p,),
        "clouds_options_set_string": (c_int, c_void_p, c_char_p, c_char_p,),
        "clouds_options_set_number": (c_int, c_void_p, c_char_p, c_double,),
        "clouds_options_set_integer": (c_int, c_void_p, c_char_p, c_uint64,),
        "clouds_options_set_bool": (c_int, c_void_p, c_char_p, c_int,),
        "clouds_option_describe": (c_int, c_uint32, POINTER(clouds_option_info),),
        "clouds_key_create": (c_int, c_char_p,),
        "clouds_runtime_folder": (c_int, c_char_p, c_void_p, c_size_t,),
        "clouds_context_create": (c_int, c_void_p, POINTER(c_void_p),),
        "clouds_open": (c_int, c_char_p, c_char_p, POINTER(c_void_p), POINTER(c_void_p),),
        "clouds_context_close": (c_int, c_void_p, c_double, POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_context_destroy": (None, c_void_p,),
        "clouds_fd": (c_int, c_void_p,),
        "clouds_event_name": (c_char_p, c_uint32,),
        "clouds_poll": (c_int, c_void_p, POINTER(clouds_event), c_size_t, c_size_t, c_double,),
        "clouds_poll_into": (c_int, c_void_p, POINTER(clouds_event), c_size_t, c_size_t, c_void_p, c_size_t,
                         POINTER(c_size_t), c_double,),
        "clouds_wait": (c_int, c_void_p, c_uint64, c_double, POINTER(clouds_event), c_size_t,),
        "clouds_wait_into": (c_int, c_void_p, c_uint64, c_double, POINTER(clouds_event), c_size_t, c_void_p, c_size_t,
                         POINTER(c_size_t),),
        "clouds_wait_any": (c_int, c_void_p, POINTER(c_uint64), c_size_t, c_double, POINTER(clouds_event), c_size_t,),
        "clouds_wait_any_into": (c_int, c_void_p, POINTER(c_uint64), c_size_t, c_double, POINTER(clouds_event),
                             c_size_t, c_void_p, c_size_t, POINTER(c_size_t),),
        "clouds_event_release": (c_int, POINTER(clouds_event),),
        "clouds_wakeup": (c_int, c_void_p,),
        "clouds_counter": (c_int, c_void_p, c_char_p, c_uint32, POINTER(c_char_p), POINTER(c_uint64),),
        "clouds_node_create": (c_int, c_void_p, c_void_p, POINTER(c_void_p),),
        "clouds_node_configure": (c_int, c_void_p, c_void_p,),
        "clouds_node_close": (c_int, c_void_p, c_double, POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_destroy": (None, c_void_p,),
        "clouds_node_id": (c_char_p, c_void_p,),
        "clouds_node_register": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_operation_options),
                             POINTER(c_uint64),),
        "clouds_node_offer": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_offer_options),
                          POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_unregister": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_operation_options),
                               POINTER(c_uint64),),
        "clouds_node_call": (c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(clouds_call_options),
                         POINTER(c_uint64),),
        "clouds_cancel": (c_int, c_void_p, c_uint64,),
        "clouds_reply": (c_int, c_void_p, c_uint64, c_char_p, c_size_t,),
        "clouds_bytes_mark": (c_int, c_char_p, c_size_t,),
        "clouds_trace_id": (c_int, c_char_p, c_size_t, c_void_p,),
        "clouds_span_begin": (c_int, c_void_p, c_char_p, c_size_t, c_void_p, c_size_t,),
        "clouds_span_end": (c_int, c_void_p, c_char_p, c_size_t, c_uint32, c_char_p, c_size_t, c_char_p, c_size_t,),
        "clouds_span_id": (c_int, c_char_p, c_size_t, c_void_p,),
        "clouds_reply_payload": (c_int, c_void_p, c_uint64, POINTER(clouds_payload),),
        "clouds_request_open": (c_int, c_void_p, c_uint64,),
        "clouds_fail": (c_int, c_void_p, c_uint64, c_char_p, c_size_t, c_char_p, c_size_t,),
        "clouds_refuse": (c_int, c_void_p, c_uint64, c_int,),
        "clouds_choose": (c_int, c_void_p, c_uint64, c_char_p, c_size_t,),
        "clouds_attempt": (c_int, c_void_p, c_uint64, c_char_p, c_size_t,),
        "clouds_attempt_payload": (c_int, c_void_p, c_uint64, POINTER(clouds_payload),),
        "clouds_node_send": (c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_uint32,
                         POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_pause": (c_int, c_void_p, c_char_p, c_size_t, c_int, POINTER(clouds_operation_options),
                          POINTER(c_uint64),),
        "clouds_node_send_payload": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_payload), c_uint32,
                                 POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_status": (c_int, c_void_p, POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_explain": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_operation_options),
                            POINTER(c_uint64),),
        "clouds_node_links": (c_int, c_void_p, POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_stats": (c_int, c_void_p, POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_ask": (c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_char_p, c_size_t,
                        POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_publish": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_payload), c_uint32,
                            POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_node_subscribe": (c_int, c_void_p, c_char_p, c_size_t, POINTER(clouds_subscribe_options),
                              POINTER(clouds_operation_options), POINTER(c_uint64),),
        "clouds_unsubscribe": (c_int, c_void_p, c_uint64,),
        "clouds_worker_open": (c_int,),
        "clouds_worker_next": (c_int, POINTER(clouds_worker_event), c_size_t, c_double,),
        "clouds_worker_tell": (c_int, c_uint32, c_char_p, c_size_t,),
        "clouds_worker_send": (c_int, c_char_p, c_size_t, c_uint32, c_char_p, c_size_t,),
        "clouds_worker_take": (c_int, c_uint32,),
        "clouds_worker_accept": (c_int, c_uint32, POINTER(c_int),),
        "clouds_worker_give_back": (c_int, c_uint32, c_int,),
        "clouds_worker_count": (c_int, c_uint32, c_int64,),
        "clouds_counts_use": (c_int, c_void_p, c_size_t,),
        "clouds_counts_add": (POINTER(c_uint64), c_void_p, c_uint32, c_char_p, c_size_t, c_uint32,),
}
