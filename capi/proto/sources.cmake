set(proto_sources json.c text.c error_object.c utf8.c envelope_decode.c envelope_usual.c envelope_encode.c frame.c url.c)
