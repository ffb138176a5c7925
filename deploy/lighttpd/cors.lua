-- Headers of the errors that lighttpd itself answers (too large, nobody there),
-- so that a page of another origin may read them.  Keep the origins like
-- api.cors_origins in churns.yml, which decides for all other answers.
local origins = {
	"^http://localhost:3000$",
	"^http://127%.0%.0%.1:3000$",
	"^http://frontend:3000$",
	"^https://[%w-]+%.ngrok%-free%.app$",
}

local answer = lighty.r.resp_header
local origin = lighty.r.req_header["Origin"] or ""
answer["Vary"] = "Origin"
answer["Cache-Control"] = "no-store"
answer["X-Content-Type-Options"] = "nosniff"
for _, allowed in ipairs(origins) do
	if origin:match(allowed) then
		answer["Access-Control-Allow-Origin"] = origin
		answer["Access-Control-Allow-Credentials"] = "true"
	end
end
if lighty.r.req_env["REDIRECT_STATUS"] == "503" then
	answer["Retry-After"] = "2"
end
