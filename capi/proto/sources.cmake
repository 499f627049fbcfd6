set(proto_sources json.c text.c utf8.c envelope_decode.c envelope_usual.c envelope_encode.c frame.c url.c)
