package sandbox

import (
	"slices"
	"time"
)

func authTest(s *Server, _ *call) (map[string]any, *apiError) {
	return map[string]any{
		"url": s.baseURL() + "/", "team": "Sandbox", "team_id": TeamID, "user": BotName, "user_id": BotUserID, "bot_id": BotID,
		"is_enterprise_install": false, "app_id": AppID, "app_name": "Slipway",
	}, nil
}

// wireUser is a user as users.info shows it. Of somebody deactivated Slack says less: no time zone and none of the flags.
func wireUser(u *User) map[string]any {
	profile := map[string]any{"real_name": u.RealName, "display_name": u.Name, "team": u.Team}
	if u.Bot {
		profile["bot_id"] = u.BotID
		if u.ID == BotUserID {
			profile["api_app_id"] = AppID
		}
	}
	out := map[string]any{
		"id": u.ID, "team_id": u.Team, "name": u.Name, "deleted": u.Deleted, "is_bot": u.Bot, "is_app_user": false, "updated": 1, "profile": profile,
	}
	if u.Deleted {
		return out
	}
	label, offset := u.TZ, 0
	if loc, err := time.LoadLocation(u.TZ); err == nil { // without a time zone database everybody lives in UTC
		label, offset = time.Now().In(loc).Zone()
	}
	out["real_name"] = u.RealName
	out["tz"], out["tz_label"], out["tz_offset"] = u.TZ, label, offset
	out["is_admin"], out["is_owner"], out["is_primary_owner"] = u.Admin, false, false
	out["is_restricted"], out["is_ultra_restricted"], out["is_stranger"] = u.Restricted, u.Ultra, u.Stranger
	return out
}

func usersInfo(s *Server, c *call) (map[string]any, *apiError) {
	u := s.world.users[c.str("user")]
	if u == nil {
		return nil, fail("user_not_found")
	}
	return map[string]any{"user": wireUser(u)}, nil
}

func usersList(s *Server, c *call) (map[string]any, *apiError) {
	users := slices.DeleteFunc(s.world.sortedUsers(), func(u *User) bool { return u.Stranger })
	part, next, refused := pageOf(c, users, func(u *User) string { return u.ID })
	if refused != nil {
		return nil, refused
	}
	out := make([]map[string]any, 0, len(part))
	for _, u := range part {
		out = append(out, wireUser(u))
	}
	return map[string]any{"members": out, "cache_ts": s.cfg.Clock().Unix(), "response_metadata": next}, nil
}

// approvers is the one user group of the world.
var approvers = []string{UserApprover, UserAdmin}

func usergroupsList(_ *Server, c *call) (map[string]any, *apiError) {
	group := map[string]any{
		"id": GroupApprovers, "team_id": TeamID, "is_usergroup": true, "name": "Approvers", "handle": "approvers",
		"description": "May approve deployments", "date_delete": 0,
	}
	if c.flag("include_users") {
		group["users"] = approvers
	}
	if c.flag("include_count") {
		group["user_count"] = len(approvers)
	}
	return map[string]any{"usergroups": []any{group}}, nil
}

func usergroupsUsersList(_ *Server, c *call) (map[string]any, *apiError) {
	if c.str("usergroup") != GroupApprovers {
		return nil, fail("no_such_subteam")
	}
	return map[string]any{"users": approvers}, nil
}
