# gentraces.awk - OTLP JSON requests with made traces, 50 to a line.
#   awk -v n=5000 -v seed=1 -v t0=SECONDS -v service=NAME -f gentraces.awk
# 1 to 6 spans a trace. Most traces are spread over 20 hours from t0, three in
# ten begin within one second, so that windows of very different widths are
# needed. Some traces last for minutes and so lie in several windows.
function hex(digits,    s) {
	s = ""
	while (digits-- > 0)
		s = s sprintf("%x", int(rand() * 16))
	return s
}
# Nanoseconds since 1970 as text: they do not fit in a double.
function ns(sec, us, nano) {
	sec += int(us / 1000000)
	return sprintf("%d%06d%03d", sec, us % 1000000, nano)
}
function span(trace, id, parent, name, sec, us, dur_us, text,    s) {
	s = "{\"traceId\":\"" trace "\",\"spanId\":\"" id "\""
	if (parent != "")
		s = s ",\"parentSpanId\":\"" parent "\""
	s = s ",\"name\":\"" name "\",\"kind\":3,\"startTimeUnixNano\":\"" ns(sec, us, int(rand() * 1000)) "\""
	s = s ",\"endTimeUnixNano\":\"" ns(sec, us + dur_us, 999) "\",\"attributes\":["
	s = s "{\"key\":\"gen_ai.operation.name\",\"value\":{\"stringValue\":\"chat\"}},"
	s = s "{\"key\":\"gen_ai.request.model\",\"value\":{\"stringValue\":\"model-" int(rand() * 5) "\"}},"
	s = s "{\"key\":\"gen_ai.usage.input_tokens\",\"value\":{\"intValue\":\"" int(rand() * 4000) "\"}},"
	s = s "{\"key\":\"gen_ai.cost.total_cost\",\"value\":{\"doubleValue\":" rand() / 100 "}},"
	s = s "{\"key\":\"gen_ai.input.messages\",\"value\":{\"stringValue\":\"[{\\\"role\\\":\\\"user\\\",\\\"parts\\\":[{\\\"type\\\":\\\"text\\\",\\\"content\\\":\\\"" text "\\\"}]}]\"}}"
	return s "],\"status\":{\"code\":" (rand() < 0.1 ? 2 : 1) "}}"
}
BEGIN {
	srand(seed)
	if (service == "")
		service = "litellm-gateway"
	head = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"" service "\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"gentraces\"},\"spans\":["
	for (i = 0; i < n; i++) {
		trace = hex(32)
		if (rand() < 0.3) {
			sec = t0 + 36000
			us = int(rand() * 1000000)
		} else {
			sec = t0 + int(rand() * 72000)
			us = int(rand() * 1000000)
		}
		text = "made question " i " <&> \\\\u00e9 \342\202\254"
		root = hex(16)
		out = span(trace, root, "", "litellm_request", sec, us, int(rand() * 2000000), text)
		m = int(rand() * 6)
		long = rand() < 0.05
		for (j = 0; j < m; j++)
			out = out "," span(trace, hex(16), root, "step " j, sec + (long ? int(rand() * 600) : 0), us + j * 1000 + int(rand() * 1000), 500, text)
		printf "%s%s", i % 50 == 0 ? head : ",", out
		if (i % 50 == 49 || i == n - 1)
			printf "]}]}]}\n"
	}
}
