set(proto_sources json.c json_canonical.c json_string.c error_object.c utf8.c envelope_decode.c envelope_fast.c envelope_encode.c extension.c frame.c meta.c url.c url_tls.c url_describe.c address.c
    direct.c)
list(APPEND proto_sources bytes.c topic.c)
list(APPEND proto_sources traits.c)
list(APPEND proto_sources fragment.c)
list(APPEND proto_sources type_text.c shape.c shape_check.c schema.c)
list(APPEND proto_sources traceparent.c span.c)
